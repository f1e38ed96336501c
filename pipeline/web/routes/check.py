"""The page Check: judge filed photos drawn at random, and see the precision that was achieved."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request, Response
from sqlalchemy import Engine

from db.queries import spot_checks
from db.queries.spot_checks import Waiting
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.spot_checks.draw import draw as draw_photos
from pipeline.spot_checks.figures import Figures, figures
from pipeline.web.middleware.redirects import see_other
from pipeline.web.middleware.visitor import chosen_name, visitor_name
from pipeline.web.routes.parameters import After
from pipeline.web.services import correct_files, recent_answers
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.views.charts import interval
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)
PAGE = Page("Check", "/check", 25)

SAMPLE = 30
"""Photos that are drawn together."""

AHEAD = 2
"""Photos that the browser loads in advance."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown: the photo after the spot check `after`, and with `wrong` the labels to choose from."""

    after: int | None = None
    wrong: bool = False

    def url(self, path: str = "/check", **changes: Any) -> str:
        """Return the URL of this view, with changes."""
        view = replace(self, **changes)
        values = {"after": view.after, "wrong": "1" if view.wrong else None}
        query = urlencode({name: value for name, value in values.items() if value is not None})
        return f"{path}?{query}" if query else path


def view_of(after: After | None = None, wrong: str = "") -> View:
    """Parse a view from a query string."""
    return View(after, bool(wrong))


ViewDep = Annotated[View, Depends(view_of)]


@router.get("/check")
def page(request: Request, context: ContextDep, view: ViewDep) -> Response:
    """Return the page, for htmx requests only its main part."""
    return _answer(request, context, view, recent_answers.of_browser(request, context))


@router.post("/check/draw")
def draw(request: Request, context: ContextDep) -> Response:
    """Draw photos, unless some wait for an answer, and show the first."""
    engine = context.database.writer()
    if not spot_checks.count_waiting(engine):
        outcomes = set(context.labels.folders().values())
        draw_photos(engine, context.settings, outcomes, SAMPLE, datetime.now(UTC), random.SystemRandom())
    return _next(request, context, View(), recent_answers.of_browser(request, context))


@router.post("/check/answer")
def answer(
    request: Request,
    context: ContextDep,
    view: ViewDep,
    label: Annotated[str, Form()],
    file: Annotated[str, Form()],
) -> Response:
    """Record the label of a photo, and show the next one."""
    by, files = visitor_name(request), correct_files.parse_versions([file])
    changes = correct_files.correct(context, by, files, label, "check")
    answers = recent_answers.of_browser(request, context)
    done = [change.id for change in changes if change.id is not None and change.problem is None]
    if done:
        answers = [*answers, list(correct_files.versions(context, done).values())]
    sent = [f"Sent to {change.owner}." for change in changes if change.request is not None]
    said = (sent or [f"Recorded as {label}."])[0] if done else ""
    return _next(request, context, replace(view, wrong=False), answers, changes, said)


@router.post("/check/undo")
def undo(request: Request, context: ContextDep, view: ViewDep, done: Annotated[str, Form()] = "") -> Response:
    """Undo the answer `done`, else the last one, and show its photo again."""
    answers = recent_answers.of_cookie(request, context)
    last = (recent_answers.from_text(done) or recent_answers.of_browser(request, context))[-1:]
    if not last:
        return _next(request, context, view, [], [], "There is nothing to undo.")
    files = correct_files.parse_versions(last[0])
    changes = correct_files.undo(context, visitor_name(request), files, "check")
    again = _spot_check_of(context, files)
    view = View(again.id - 1 if again else view.after)
    sent = [f"Sent to {change.owner}." for change in changes if change.request is not None]
    said = "" if correct_files.problems(changes) else (sent or ["Undone."])[0]
    return _next(request, context, view, recent_answers.without(answers, last[0]), changes, said)


def _spot_check_of(context: AppContext, files: list[Known]) -> Waiting | None:
    found = spot_checks.waiting(context.database.writer(), ids=[file.id for file in files])
    return found[0] if found else None


def _next(
    request: Request,
    context: AppContext,
    view: View,
    answers: recent_answers.Answers,
    changes: list[Change] | None = None,
    said: str = "",
) -> Response:
    context.cache.forget()
    wrong = correct_files.problems(changes or [])
    if "hx-request" in request.headers or wrong:
        response = _answer(request, context, view, answers, said, wrong)
    else:
        response = see_other(request, view.url())
    recent_answers.keep(request, context, response, answers)
    return response


def _answer(
    request: Request,
    context: AppContext,
    view: View,
    recently: recent_answers.Answers,
    said: str = "",
    wrong: list[str] | None = None,
) -> Response:
    whole = "hx-request" not in request.headers
    engine = context.database.reader()
    return render(
        request,
        "check.html" if whole else "check_stage.html",
        **(_stage(engine, context, view) if engine else _nothing()),
        view=view,
        answers=context.answers(),
        done=recent_answers.to_text(recently[-1:]),
        can_undo=bool(recently),
        said=said,
        wrong=wrong or [],
        name=chosen_name(request),
        by=visitor_name(request),
        back="/check",
        whole=whole,
    )


def _nothing() -> dict[str, Any]:
    return {"waiting": [], "seen": "", "wrapped": False, "found": None, "rows": [], "is_new": True}


def _stage(engine: Engine, context: AppContext, view: View) -> dict[str, Any]:
    after = view.after or 0
    waiting = spot_checks.waiting(engine, after, 1 + AHEAD)
    wrapped = bool(after and not waiting)
    if wrapped:
        waiting = spot_checks.waiting(engine, 0, 1 + AHEAD)
    found = _figures(engine, context)
    return {
        "waiting": waiting,
        "seen": "".join(correct_files.versions(context, [each.entry.id for each in waiting[:1]]).values()),
        "wrapped": wrapped and bool(waiting),
        "found": found,
        "rows": _rows(found) if found else [],
        "is_new": False,
    }


def _figures(engine: Engine, context: AppContext) -> Figures | None:
    """Return the figures, None without a model; cached, because counting a million rows is slow."""
    bundle = context.labels.bundle()
    if bundle is None:
        return None
    return context.cache.get("spot checks", lambda: figures(engine, context.settings, bundle))


def _rows(found: Figures) -> list[dict[str, Any]]:
    """Return the table's rows: each class, then each month, the newest first."""
    months = dict(sorted(found.by_month.items(), reverse=True))
    parts = {**found.per_class, **months}
    least = min([0.9, *(each.low for each in parts.values() if each.precision is not None)])
    return [
        {"name": name, "part": each, "plot": interval(each.precision, each.low, each.high, least)}
        for name, each in parts.items()
        if each.precision is not None
    ]
