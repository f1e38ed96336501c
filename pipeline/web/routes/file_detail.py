"""The page of one file: picture, prediction, history, and the forms that correct it."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from db.queries import listing, overview
from db.queries.overview import History
from pipeline.corrections.recorded_move import Change
from pipeline.decision import FAILED
from pipeline.web.downloads.originals import problem_of, readable
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.redirects import see_other
from pipeline.web.middleware.visitor import chosen_name, visitor_name
from pipeline.web.routes.parameters import Id
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
    row = listing.result(engine, entry.id) if engine else None
    problem = problem_of(context.settings, row) if row and entry.path and entry.state != "removed" else None
    is_filed = entry.state == "filed" and not problem
    return {
        "entry": entry,
        "events": timeline(found),
        "same": found.same,
        "answers": context.answers(),
        "problem": problem,
        "location": readable(entry.path) if entry.path else None,
        "folder": readable(os.path.dirname(entry.path)) if entry.path else None,
        "companions": [readable(name) for name in entry.companion_names],
        # What cannot be read can neither be moved nor sent.
        "can_correct": is_filed,
        "can_undo": is_filed,
        "can_retry": (is_filed and entry.outcome == FAILED) or (entry.state == "undone" and not problem),
        "undoes_filing": not any(move.kind == "correct" for move in _not_undone(found)),
    }


def _not_undone(found: History) -> list[Any]:
    undone = {move.undoes for move in found.moves if move.kind == "undo" and move.done_at}
    return [move for move in found.moves if move.id not in undone]
