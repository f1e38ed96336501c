"""The page of one file: picture, prediction, history, and the forms that correct it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy import Engine

from db.queries import listing, overview
from db.queries.overview import History
from db.queries.requests import Request as Asked
from db.queries.requests import of_file
from db.queries.requests import request as request_of
from db.schema.records import Entry
from pipeline.corrections.recorded_move import Change
from pipeline.decision import FAILED
from pipeline.requests.owners import trouble_of
from pipeline.web.downloads.originals import problem_of, readable
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.redirects import see_other
from pipeline.web.middleware.visitor import chosen_name, visitor_name
from pipeline.web.routes.parameters import Id, RowNumber
from pipeline.web.services import correct_files, recent_answers
from pipeline.web.services.context import AppContext, ContextDep
from pipeline.web.views.rendering import render
from pipeline.web.views.timeline import timeline

router = APIRouter(prefix="/files", include_in_schema=False)

Version = Annotated[str, Form()]


@router.get("/{id}")
def page(request: Request, context: ContextDep, id: Id) -> Response:
    """Return the page. Raises Problem 404."""
    return _show(request, context, id)


@router.post("/{id}/correct")
def correct(
    request: Request, context: ContextDep, id: Id, seen: Version, label: Annotated[str, Form()]
) -> Response:
    """Correct its label."""
    changes = correct_files.correct(
        context, visitor_name(request), correct_files.parse_version(id, seen), label
    )
    response = _done(request, context, id, changes)
    if not any(change.problem for change in changes):
        answers = [
            *recent_answers.of_browser(request, context),
            list(correct_files.versions(context, [id]).values()),
        ]
        recent_answers.keep(request, context, response, answers)
    return response


@router.post("/{id}/undo")
def undo(request: Request, context: ContextDep, id: Id, seen: Version) -> Response:
    """Undo its last change."""
    return _done(
        request,
        context,
        id,
        correct_files.undo(context, visitor_name(request), correct_files.parse_version(id, seen)),
    )


@router.post("/{id}/take-back")
def take_back(request: Request, context: ContextDep, id: Id, asked: Annotated[RowNumber, Form()]) -> Response:
    """Take back the request `asked` to its owner."""
    engine = context.database.reader()
    found = request_of(engine, asked) if engine else None
    if found is None or found.file_id != id:
        raise Problem(404, "There is no such request of this file.", "Reload the page.")
    return _done(request, context, id, [correct_files.take_back(context, visitor_name(request), found)])


@router.post("/{id}/retry")
def retry(request: Request, context: ContextDep, id: Id, seen: Version) -> Response:
    """Send it in again."""
    return _done(
        request,
        context,
        id,
        correct_files.retry(context, visitor_name(request), correct_files.parse_version(id, seen)),
    )


def _done(request: Request, context: AppContext, id: int, changes: list[Change]) -> Response:
    wrong = correct_files.problems(changes)
    if not wrong:
        return see_other(request, f"/files/{id}")
    response = _show(request, context, id, wrong)
    response.status_code = 409
    return response


def _show(request: Request, context: AppContext, id: int, wrong: list[str] | None = None) -> Response:
    engine = context.database.reader()
    found = overview.history(engine, id) if engine else None
    if found is None:
        raise Problem(404, f"No file has the id {id}.", "Search for its name in Browse.")
    return render(
        request,
        "file.html",
        **_values(context, found),
        wrong=wrong or [],
        seen=correct_files.versions(context, [id])[id],
        name=chosen_name(request),
        by=visitor_name(request),
        back=f"/files/{id}",
    )


def _values(context: AppContext, found: History) -> dict[str, Any]:
    entry, engine = found.entry, context.database.reader()
    owner = context.owner_of(entry.id)
    requests = of_file(engine, entry.id) if engine else []
    asked = next((request for request in requests if request.is_open), None)
    problem = None if owner else _problem(context, engine, found)
    is_filed = entry.state == "filed" and not problem
    may_change = is_filed and asked is None
    return {
        "entry": entry,
        "events": timeline(found, requests),
        "owner": owner,
        "asked": asked,
        "trouble": trouble_of(context.workers().get(owner.id), datetime.now(UTC)) if owner else None,
        "same": found.same,
        "answers": context.answers(),
        "problem": problem,
        "location": readable(entry.path) if entry.path else None,
        "folder": readable(os.path.dirname(entry.path)) if entry.path else None,
        "companions": [readable(name) for name in entry.companion_names],
        # What cannot be read can neither be moved nor sent.
        "can_correct": may_change,
        "can_undo": may_change,
        "can_retry": (may_change and entry.outcome == FAILED) or _can_be_sent_in(entry, problem, asked),
        "undoes_filing": not any(move.kind == "correct" for move in _not_undone(found)),
    }


def _problem(context: AppContext, engine: Engine | None, found: History) -> str | None:
    """Return why the file cannot be read on this machine, None if it can or should not be there."""
    row = listing.result(engine, found.entry.id) if engine else None
    there = row is not None and found.entry.path and found.entry.state != "removed"
    return problem_of(context.settings, row) if row and there else None


def _can_be_sent_in(entry: Entry, problem: str | None, asked: Asked | None) -> bool:
    return entry.state == "undone" and not problem and asked is None


def _not_undone(found: History) -> list[Any]:
    undone = {move.undoes for move in found.moves if move.kind == "undo" and move.done_at}
    return [move for move in found.moves if move.id not in undone]
