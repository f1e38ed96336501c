"""The state of a request, as the API returns it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import Request, Response

from db.queries import requests
from db.queries.requests import Request as Asked
from pipeline.requests.owners import trouble_of
from pipeline.web.middleware.openapi import Answers, RequestState
from pipeline.web.services.context import AppContext, context_of
from pipeline.web.views.urls import url_of

ACCEPTED: Answers = {202: {"model": RequestState, "description": "Sent to the worker of another machine."}}
"""The response of routes that may send a request."""


def state_of(context: AppContext, request: Asked) -> RequestState:
    """Return the state of a request, and whether its worker gives signs of life. Raises DatabaseError."""
    trouble = trouble_of(context.workers().get(request.worker_id), datetime.now(UTC))
    return RequestState(
        id=request.id,
        file_id=request.file_id,
        worker=request.owner,
        kind=request.kind,
        label=request.label,
        by=request.by,
        asked_at=request.asked_at,
        done_at=request.done_at,
        problem=request.problem,
        trouble=trouble if request.is_open else None,
    )


def accepted(request: Request, response: Response, id: int) -> dict[str, Any]:
    """Answer 202 with the state of a request that was just sent, and its address in `Location`."""
    context = context_of(request)
    found = requests.request(context.database.writer(), id)
    assert found is not None
    response.status_code = 202
    response.headers["Location"] = url_of(request, f"/api/requests/{id}")
    return state_of(context, found).model_dump()
