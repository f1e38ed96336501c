"""Requests to the workers of other machines in the JSON API: list, follow, take back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from db.queries import requests
from db.queries.requests import Request as Asked
from pipeline.web.middleware import openapi
from pipeline.web.middleware.openapi import ALWAYS, CHANGING, answers
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.visitor import visitor_name
from pipeline.web.routes.parameters import Id, Rows, Text
from pipeline.web.sent.states import state_of
from pipeline.web.services import correct_files
from pipeline.web.services.context import AppContext, ContextDep

router = APIRouter(prefix="/api/requests", tags=["api"])

By = Annotated[Text | None, Query(max_length=200, description="Name to record.")]


@router.get("", responses=answers(*ALWAYS, 422))
def listed(context: ContextDep, limit: Rows = 100) -> list[openapi.RequestState]:
    """List the open requests to the workers of all machines, oldest first."""
    engine = context.database.reader()
    found = requests.open_requests(engine, limit) if engine else []
    return [state_of(context, request) for request in found]


@router.get("/{id}", responses=answers(*ALWAYS, 404, 422))
def one(context: ContextDep, id: Id) -> openapi.RequestState:
    """Return the state of a request; `done_at` is null as long as it waits."""
    return state_of(context, _request(context, id))


@router.delete("/{id}", responses=answers(*CHANGING, 404, 409, 422))
def take_back(request: Request, context: ContextDep, id: Id, by: By = None) -> openapi.RequestState:
    """Take back a request that waits; 409 if it was carried out or refused."""
    change = correct_files.take_back(context, visitor_name(request, by), _request(context, id))
    if change.problem is not None:
        raise Problem(409, f"Request {id} is not open any more.", f"GET /api/requests/{id} says why.")
    return state_of(context, _request(context, id))


def _request(context: AppContext, id: int) -> Asked:
    engine = context.database.reader()
    found = requests.request(engine, id) if engine else None
    if found is None:
        raise Problem(404, f"No request has the number {id}.", "GET /api/requests lists those that wait.")
    return found
