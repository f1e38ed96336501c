"""The JSON API: classify photos, list results, correct them, deliver photos."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from db.queries import listing
from db.schema.file_names import escape
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.decision import with_shown
from pipeline.web.middleware import openapi
from pipeline.web.middleware.etags import matches_strongly, tag_of, tags_in
from pipeline.web.middleware.openapi import (
    ALWAYS,
    CHANGING,
    FILES,
    UPLOADING,
    Answered,
    Correction,
    Delivered,
    Results,
    answers,
)
from pipeline.web.middleware.problems import EscapedResponse, Problem
from pipeline.web.middleware.visitor import visitor_name
from pipeline.web.routes.parameters import After, Id, Rows, Text
from pipeline.web.routes.result_filters import WantedDep
from pipeline.web.sent.states import ACCEPTED, accepted
from pipeline.web.services import correct_files, learning
from pipeline.web.services.classify_uploads import answers as ask
from pipeline.web.services.classify_uploads import scratch
from pipeline.web.services.context import AppContext, ContextDep, context_of
from pipeline.web.services.delivery import Delivery, moving_inboxes
from pipeline.web.services.uploads import received

router = APIRouter(prefix="/api", tags=["api"])

By = Annotated[Text | None, Query(max_length=200, description="Name to record with the correction.")]

PAGE_ROWS = 100

CORRECTING = (*CHANGING, 404, 409, 412, 422)


def if_match_of(
    request: Request,
    if_match: Annotated[  # noqa: ARG001 - for the schema; the function reads all lines of the header
        str | None,
        Header(
            max_length=1000, description="ETag of the row as you read it; 412 if the row has changed since."
        ),
    ] = None,
) -> str | None:
    """Return the value of If-Match, None without one."""
    return ", ".join(request.headers.getlist("if-match")) if "if-match" in request.headers else None


IfMatch = Annotated[str | None, Depends(if_match_of)]


@router.post("/classify", responses=answers(*UPLOADING), openapi_extra=FILES)
async def classify(
    request: Request,
    context: ContextDep,
    model: Annotated[Text | None, Query(description="Name of a model; default: the worker's model.")] = None,
) -> list[Answered]:
    """Classify photos, one or more fields `file`; nothing is stored."""
    choice = await asyncio.to_thread(context.models.one, model)
    async with received(request, scratch(context), context.settings.limits) as form:
        if not form.files:
            raise Problem(422, "The request contains no photo.", "Send it as the field `file`.")
        found = await ask(context, choice, form.files)
    return [Answered(**answer.classified.as_dict()) for answer in found]


@router.get("/results", responses=answers(*ALWAYS, 422, ok=openapi.Rows))
def results(
    context: ContextDep,
    wanted: WantedDep,
    limit: Rows = PAGE_ROWS,
    before: Annotated[
        After | None, Query(description="Only rows after this id: `next` of the previous page.")
    ] = None,
) -> Results:
    """List rows of the database, newest first, one page at a time."""
    rows = [with_shown(row) for row in _rows(context, replace(wanted, limit=limit, before=before))]
    return Results(results=rows, next=rows[-1]["id"] if len(rows) == limit else None)


@router.get("/results/{id}", responses=answers(*ALWAYS, 404, 422, ok=openapi.Row, not_modified=True))
def result(response: Response, context: ContextDep, id: Id) -> dict[str, Any]:
    """Return one row of the database; send its ETag as If-Match to correct that version."""
    response.headers.update({"ETag": _etag(context, id), "Cache-Control": "private, no-cache"})
    return with_shown(_row(context, id))


@router.post(
    "/results/{id}/correction", responses=answers(*CORRECTING, 408, 413, ok=openapi.Changed) | ACCEPTED
)
def correct(
    request: Request,
    response: Response,
    context: ContextDep,
    id: Id,
    said: Correction,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Correct the label of a photo: the file moves, and the row records the correction.

    For a photo of another machine a request is sent to its worker: 202, and its address in Location.
    """
    known = _requested_version(context, id, if_match)
    changes = correct_files.correct(context, visitor_name(request, said.by), [known], said.label, "api")
    return _changed(request, response, known, changes, if_match)


@router.delete("/results/{id}/correction", responses=answers(*CORRECTING, ok=openapi.Changed) | ACCEPTED)
def undo(
    request: Request, response: Response, context: ContextDep, id: Id, by: By = None, if_match: IfMatch = None
) -> dict[str, Any]:
    """Undo the last change: a correction returns to the previous folder, a filing to the inbox.

    An open request to the worker of another machine is taken back; otherwise it gets one: 202.
    """
    known = _requested_version(context, id, if_match)
    changes = correct_files.undo(context, visitor_name(request, by), [known], "api")
    return _changed(request, response, known, changes, if_match)


@router.post(
    "/inbox", status_code=201, responses=answers(*UPLOADING, 409, ok=list[Delivered]), openapi_extra=FILES
)
async def deliver(
    request: Request,
    response: Response,
    context: ContextDep,
    inbox: Annotated[Text | None, Query(description="Path of an inbox; default: the first one.")] = None,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> list[Delivered]:
    """Put photos into an inbox for the worker; they are durable once the response is sent.

    With an Idempotency-Key, each photo of the request is delivered once, even if the request is repeated.
    """
    target = inbox_of(context, inbox)
    async with received(request, target, context.settings.limits) as form:
        if not form.files:
            raise Problem(422, "The request contains no photo.", "Send it as the field `file`.")
        done = [
            await asyncio.to_thread(context.delivery.deliver, upload, target, _key(idempotency_key, number))
            for number, upload in enumerate(form.files)
        ]
    if all(delivery.already for delivery in done):
        response.status_code = 200
    return [_delivered(delivery) for delivery in done]


@router.get("/status", responses=answers(*ALWAYS), response_class=EscapedResponse)
def status(context: ContextDep) -> dict[str, Any]:
    """Return the state of the worker and the number of files by outcome."""
    return context.status().as_dict()


@router.get("/models", responses=answers(*ALWAYS, ok=list[openapi.Model]))
def models(context: ContextDep) -> list[dict[str, Any]]:
    """List the models for `POST /api/classify`, and the versions of the configured one."""
    path, versions = learning.versions_with_path(context)
    return [
        {
            "name": choice.key,
            "labels": list(choice.bundle.labels),
            "is_workers": choice.is_workers,
            "versions": [version.as_dict() for version in versions if choice.bundle.path == path],
        }
        for choice in context.models.all()
    ]


def inbox_of(context: AppContext, path: str | None) -> Path:
    """Return the inbox at `path`, that for uploads for None. Raises Problem 404, 503."""
    # A path that is not UTF-8 cannot be sent as it is, but in its escaped form.
    inboxes = {escape(os.fsencode(inbox)): inbox for inbox in context.settings.inboxes}
    inboxes |= {str(inbox): inbox for inbox in context.settings.inboxes}
    target = inboxes.get(path) if path else moving_inboxes(context.settings)[0]
    if target is None:
        raise Problem(404, "No such inbox.", f"Choose one of: {_names(context)}.")
    if not target.is_dir():
        raise Problem(503, f"The inbox {target} does not exist.", "Mount its disk, or start the worker once.")
    return target


def _names(context: AppContext) -> str:
    return ", ".join(escape(os.fsencode(inbox)) for inbox in context.settings.inboxes)


def _rows(context: AppContext, wanted: listing.ResultFilter) -> Iterator[dict[str, Any]]:
    engine = context.database.reader()
    return listing.results(engine, wanted) if engine else iter(())


def _row(context: AppContext, id: int) -> dict[str, Any]:
    engine = context.database.reader()
    row = listing.result(engine, id) if engine else None
    if row is None:
        raise Problem(404, f"No file has the id {id}.", "GET /api/results lists all files.")
    return row


def _etag(context: AppContext, id: int) -> str:
    """Return the ETag of a row: the version of its file and a hash of the row."""
    [known] = correct_files.current(context, [id])  # before the row, so that it is never newer than the row
    row = json.dumps(_row(context, id), sort_keys=True, default=str)
    return tag_of(row.encode("utf-8", "surrogatepass"), f"{known.version}-")


def _requested_version(context: AppContext, id: int, if_match: str | None) -> Known:
    """Return the version of the file that the client means: by If-Match, else the current. Raises Problem."""
    current = _etag(context, id)
    state = _row(context, id)["state"]
    if state != "filed":
        raise Problem(409, f"File {id} is not filed: it is {state}.", "Wait until it is filed.")
    if if_match is None:
        return Known(id, _version(current))
    tags = tags_in(if_match)
    if tags is None:
        raise Problem(
            400, "If-Match is not an ETag.", f"Send the ETag of GET /api/results/{id}, quotes included."
        )
    if not matches_strongly(tags, current):
        raise _changed_since(context, id)
    return Known(id, _version(current))


def _version(etag: str) -> int:
    return int(etag.strip('"').partition("-")[0])


def _changed_since(context: AppContext, id: int) -> Problem:
    return Problem(412, correct_files.why_changed(context, id), f"GET /api/results/{id} again, then decide.")


def _changed(
    request: Request, response: Response, known: Known, changes: list[Change], if_match: str | None
) -> dict[str, Any]:
    [change], context = changes, context_of(request)
    for problem in correct_files.problems(changes):
        if if_match is not None and correct_files.current(context, [known.id]) != [
            known
        ]:  # since the check above
            raise _changed_since(context, known.id)
        raise Problem(
            409, problem, "GET it again for its current state; `pawsort doctor` finds inconsistencies."
        )
    if change.request is not None:
        return accepted(request, response, change.request)
    response.headers["ETag"] = _etag(context, known.id)
    return change.as_dict()


def _key(key: str | None, number: int) -> str | None:
    return f"{key}\n{number}" if key else None


def _delivered(delivery: Delivery) -> Delivered:
    return Delivered(
        name=delivery.name,
        inbox=escape(os.fsencode(delivery.inbox)),
        bytes=delivery.bytes,
        sha256=delivery.sha256,
        already=delivery.already,
        id=delivery.id,
    )
