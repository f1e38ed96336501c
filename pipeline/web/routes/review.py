"""The page Review: correct or confirm low-confidence photos, one by one or many at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request, Response
from sqlalchemy import Engine

from db.queries import overview, review
from db.queries.requests import open_of
from db.queries.review import Group, Order, Settled
from db.schema.records import Entry
from pipeline.corrections.recorded_move import Change
from pipeline.decision import UNCERTAIN
from pipeline.web.middleware.redirects import own_path, see_other
from pipeline.web.middleware.visitor import chosen_name, visitor_name
from pipeline.web.routes.parameters import After, Text
from pipeline.web.sent import waiting as sent_requests
from pipeline.web.services import correct_files, learning, recent_answers
from pipeline.web.services.context import AppContext, ContextDep, Page
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)
PAGE = Page("Review", "/review", 20)

MANY = 24
"""Photos in the grid: a screenful or two, corrected together within a second."""

AHEAD = 2
"""Photos that the browser loads in advance."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of the queue that is shown, and how; `after` is the id of the last file that was skipped."""

    order: Order = "unsure"
    group: Group | None = None
    many: bool = False
    after: int | None = None

    def url(self, path: str = "/review", **changes: Any) -> str:
        """Return the URL of this view, with changes."""
        view = replace(self, **changes)
        values = {
            "order": view.order if view.order != "unsure" else None,
            "reason": view.group and view.group.reason,
            "prediction": view.group and view.group.prediction,
            "many": "1" if view.many else None,
            "after": view.after,
        }
        query = urlencode({name: value for name, value in values.items() if value is not None})
        return f"{path}?{query}" if query else path


@dataclass(frozen=True, slots=True)
class Record:
    """How many best guesses of the model were right in the reviewed files."""

    right: int
    total: int

    @property
    def share(self) -> float | None:
        """The share of right guesses, None without reviewed files."""
        return self.right / self.total if self.total else None


def view_of(
    order: Text = "unsure",
    reason: Text | None = None,
    prediction: Text | None = None,
    many: str = "",
    after: After | None = None,
) -> View:
    """Parse a view from a query string; invalid values are ignored."""
    group = Group(reason, prediction) if reason or prediction else None
    known = cast(Order, order) if order in ("unsure", "alike") else "unsure"
    return View(known, group, bool(many), after)


ViewDep = Annotated[View, Depends(view_of)]


@router.get("/review")
def page(request: Request, context: ContextDep, view: ViewDep, show: str = "") -> Response:
    """Return the page, for htmx requests only its main part."""
    return _answer(request, context, view, recent_answers.of_browser(request, context), show=_ids(show))


@router.post("/review/answer")
def answer(
    request: Request,
    context: ContextDep,
    view: ViewDep,
    label: Annotated[str, Form()],
    file: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Correct files to one label, and show the next ones."""
    changes = correct_files.correct(context, visitor_name(request), correct_files.parse_versions(file), label)
    corrected = [change.id for change in changes if change.id is not None and not change.problem]
    answers = recent_answers.of_browser(request, context)
    if corrected:
        answers = [*answers, list(correct_files.versions(context, corrected).values())]
    said = correct_files.said(changes, lambda some: f"{some} recorded as {label}.")
    return _next(request, context, view, answers, changes, said)


@router.post("/review/undo")
def undo(
    request: Request,
    context: ContextDep,
    view: ViewDep,
    done: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Undo the correction `done`, else the last one, and show its photos or the page `back`."""
    answers = recent_answers.of_cookie(request, context)
    last = (recent_answers.from_text(done) or recent_answers.of_browser(request, context))[-1:]
    if not last:
        return _next(request, context, view, [], [], "There is nothing to undo.")
    changes = correct_files.undo(context, visitor_name(request), correct_files.parse_versions(last[0]))
    here = [change for change in changes if not change.problem and change.request is None]
    undone = [change.id for change in here if change.id is not None]
    said = correct_files.said(changes, lambda some: f"{some} undone.")
    return _next(
        request, context, view, recent_answers.without(answers, last[0]), changes, said, undone, back
    )


def _next(
    request: Request,
    context: AppContext,
    view: View,
    answers: recent_answers.Answers,
    changes: Sequence[Change],
    said: str,
    show: Sequence[int] = (),
    back: str = "",
) -> Response:
    wrong = correct_files.problems(changes)
    if "hx-request" in request.headers or wrong:
        response = _answer(request, context, view, answers, show, said, wrong)
    elif back:
        response = see_other(request, own_path(back))
    else:
        address, shown = view.url(), urlencode({"show": ",".join(map(str, show))}) if show else ""
        response = see_other(request, address + (shown and ("&" if "?" in address else "?") + shown))
    recent_answers.keep(request, context, response, answers)
    return response


def _answer(
    request: Request,
    context: AppContext,
    view: View,
    recently: recent_answers.Answers,
    show: Sequence[int] = (),
    said: str = "",
    wrong: Sequence[str] = (),
) -> Response:
    whole = "hx-request" not in request.headers
    engine = context.database.reader()
    stage = _stage(engine, context, view, show) if engine else _empty(view)
    return render(
        request,
        "review.html" if whole else "review_stage.html",
        **stage,
        answers=context.answers(),
        done=recent_answers.to_text(recently[-1:]),
        can_undo=bool(recently),
        said=said,
        wrong=wrong,
        name=chosen_name(request),
        by=visitor_name(request),
        back=view.url(after=None),
        whole=whole,
        teaching=learning.answers_of(context) if engine else None,
    )


def _empty(view: View) -> dict[str, Any]:
    return {
        "view": view, "left": {}, "total": 0, "entries": [], "ahead": [], "seen": {}, "wrapped": False,
        "record": Record(0, 0), "is_new": True, "sent": sent_requests.NOTHING,
    }  # fmt: skip


def _stage(engine: Engine, context: AppContext, view: View, show: Sequence[int]) -> dict[str, Any]:
    left = review.left(engine)
    groups = list(left) if view.group is None else [view.group]
    entries, wrapped = _queued(engine, view, groups, show)
    shown, ahead = (entries, []) if view.many else (entries[:1], entries[1:])
    return {
        "view": view,
        "left": left,
        "total": sum(left.values()),
        "entries": shown,
        "ahead": ahead,
        "seen": correct_files.versions(context, [entry.id for entry in shown]),
        "wrapped": wrapped,
        "sent": sent_requests.of(engine, context),
        "record": record_of(review.settled(engine), context.labels.of_models()),
        "is_new": False,
    }


def _queued(
    engine: Engine, view: View, groups: Sequence[Group], show: Sequence[int]
) -> tuple[list[Entry], bool]:
    """Return the files to show, those in `show` first, and whether the queue restarted from its head."""
    size = MANY if view.many else 1 + AHEAD
    after = review.spot_of(passed) if view.after and (passed := _row(engine, view.after)) else None
    found = review.queue(engine, groups, view.order, after, size)
    wrapped = after is not None and not found
    if wrapped:
        found = review.queue(engine, groups, view.order, None, size)
    asked = open_of(engine, show[:size])
    rows = (_row(engine, id) for id in show[:size] if id not in asked)
    first = [entry for entry in rows if entry and _waits(entry)]
    rest = [entry for entry in found if entry.id not in show]
    return [*first, *rest][:size], wrapped


def _row(engine: Engine, id: int) -> Entry | None:
    found = overview.history(engine, id)
    return found.entry if found else None


def _waits(entry: Entry) -> bool:
    return entry.outcome == UNCERTAIN and entry.corrected_to is None


def record_of(settled: Sequence[Settled], labels: Mapping[str | None, Collection[str]]) -> Record:
    """Return how many best guesses were right in the reviewed files; `labels` by the SHA-256 of the model."""
    reviewed = [part for part in settled if part.verdict == UNCERTAIN]
    usual = labels.get(None, ())
    right = [part for part in reviewed if part.is_right(labels.get(part.model_sha256, usual))]
    return Record(sum(part.count for part in right), sum(part.count for part in reviewed))


def _ids(text: str) -> list[int]:
    return [int(part) for part in text.split(",")[:MANY] if re.fullmatch(r"[0-9]{1,18}", part)]
