"""One file: its picture, what the model made of it, all that happened to it, and how to mend it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from db.queries import overview
from db.queries.overview import History
from pipeline.corrections.mover import Change
from pipeline.decision import FAILED
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.visitor import given, who
from pipeline.web.routes.parameters import Id
from pipeline.web.services import corrections, recent_answers
from pipeline.web.services.context import AppContext, ContextDep
from pipeline.web.views.rendering import render
from pipeline.web.views.timeline import timeline

router = APIRouter(prefix="/files", include_in_schema=False)

Version = Annotated[str, Form()]


@router.get("/{id}")
def page(request: Request, site: ContextDep, id: Id) -> Response:
    """Show the file. Raises Problem 404."""
    return _show(request, site, id)


@router.post("/{id}/correct")
def correct(
    request: Request, site: ContextDep, id: Id, seen: Version, label: Annotated[str, Form()]
) -> Response:
    """Say what is on it."""
    changes = corrections.settle(site, who(request), corrections.one_seen(id, seen), label)
    response = _done(request, site, id, changes)
    if not any(change.problem for change in changes):
        answers = [*recent_answers.given(request, site), list(corrections.as_seen(site, [id]).values())]
        recent_answers.keep(request, response, answers)
    return response


@router.post("/{id}/undo")
def undo(request: Request, site: ContextDep, id: Id, seen: Version) -> Response:
    """Take its last change back."""
    return _done(request, site, id, corrections.take_back(site, who(request), corrections.one_seen(id, seen)))


@router.post("/{id}/retry")
def retry(request: Request, site: ContextDep, id: Id, seen: Version) -> Response:
    """Send it in again."""
    return _done(request, site, id, corrections.retry(site, who(request), corrections.one_seen(id, seen)))


def _done(request: Request, site: AppContext, id: int, changes: list[Change]) -> Response:
    wrong = corrections.problems(changes)
    if not wrong:
        return RedirectResponse(f"/files/{id}", 303)
    response = _show(request, site, id, wrong)
    response.status_code = 409
    return response


def _show(request: Request, site: AppContext, id: int, wrong: list[str] | None = None) -> Response:
    engine = site.store.reader()
    found = overview.history(engine, id) if engine else None
    if found is None:
        raise Problem(404, f"There is no file {id}.", "Look for it by its name in Browse.")
    return render(
        request,
        "file.html",
        **_values(site, found),
        wrong=wrong or [],
        seen=corrections.as_seen(site, [id])[id],
        name=given(request),
        by=who(request),
        back=f"/files/{id}",
    )


def _values(site: AppContext, found: History) -> dict[str, Any]:
    entry = found.entry
    return {
        "entry": entry,
        "events": timeline(found),
        "same": found.same,
        "answers": site.classes.answers(),
        "can_correct": entry.state == "filed",
        "can_undo": entry.state == "filed",
        "can_retry": entry.state == "undone" or (entry.state == "filed" and entry.outcome == FAILED),
        "undoes_filing": not any(move.kind == "correct" for move in _standing(found)),
    }


def _standing(found: History) -> list[Any]:
    undone = {move.undoes for move in found.moves if move.kind == "undo" and move.done_at}
    return [move for move in found.moves if move.id not in undone]
