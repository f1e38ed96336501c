"""Actions of Browse on the photos that a visitor selected: correct and undo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.web.middleware.redirects import see_other
from pipeline.web.middleware.visitor import visitor_name
from pipeline.web.routes.browse import page
from pipeline.web.routes.browse.many import failures
from pipeline.web.routes.browse.page import Done
from pipeline.web.routes.filters import filters_of
from pipeline.web.services import correct_files, recent_answers
from pipeline.web.services.context import AppContext, ContextDep

router = APIRouter(include_in_schema=False)

Chosen = Annotated[list[str], Form()]
Shown = Annotated[str, Form(description="The number of photos that the page shows.")]


@router.post("/browse/correct")
def correct(
    request: Request,
    context: ContextDep,
    label: Annotated[str, Form()],
    file: Chosen = [],  # noqa: B006 - FastAPI copies it
    shown: Shown = "",
) -> Response:
    """Correct the selected files to one label, and show the list again."""
    known = correct_files.parse_versions(file)
    changes = correct_files.correct(context, visitor_name(request), known, label) if known else []
    corrected = _changed(known, changes)
    answers = recent_answers.of_browser(request, context)
    if corrected:
        answers = [*answers, list(correct_files.versions(context, corrected).values())]
    done = _done(
        known, changes, correct_files.said(changes, lambda some: f"{some} recorded as {label}."), answers
    )
    return _answer(request, context, done, answers, shown)


@router.post("/browse/undo")
def undo(
    request: Request,
    context: ContextDep,
    file: Chosen = [],  # noqa: B006 - FastAPI copies it
    done: Annotated[str, Form()] = "",
    shown: Shown = "",
) -> Response:
    """Undo the last change of the selected files, or the correction `done`, and show the list again."""
    last = recent_answers.from_text(done)[-1:]
    chosen = last[0] if last else file
    known = correct_files.parse_versions(chosen)
    changes = correct_files.undo(context, visitor_name(request), known) if known else []
    said = correct_files.said(changes, lambda some: f"The last change of {some} is undone.")
    answers = recent_answers.without(recent_answers.of_cookie(request, context), chosen)
    return _answer(request, context, _done(known, changes, said, answers), answers, shown)


def _changed(known: Sequence[Known], changes: Sequence[Change]) -> list[int]:
    return [file.id for file, change in zip(known, changes, strict=True) if not change.problem]


def _done(
    known: Sequence[Known], changes: Sequence[Change], said: str, answers: recent_answers.Answers
) -> Done:
    said = said if _changed(known, changes) else "" if known else "No photo is selected."
    return Done(said, failures(known, changes), recent_answers.to_text(answers[-1:]))


def _answer(
    request: Request, context: AppContext, done: Done, answers: recent_answers.Answers, shown: str
) -> Response:
    context.cache.forget()  # the counts of the chips
    filters = filters_of(request.query_params)
    if "hx-request" in request.headers or done.failed:
        before = int(shown) if re.fullmatch("[0-9]{1,4}", shown) else 0
        size = min(max(page.SIZE, before), page.MOST_SHOWN)
        response = page.show(request, context, filters, done, size=size)
    else:
        response = see_other(request, filters.url())
    recent_answers.keep(request, context, response, answers)
    return response
