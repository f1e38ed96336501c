"""Learning on the page Models, and the page of each version: its comparison, promote and roll back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup

from db.queries import overview
from models.learning.record import Learnt
from pipeline.errors import PawsortError
from pipeline.learning import versions
from pipeline.learning.versions import family, learnt
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.redirects import see_other
from pipeline.web.middleware.visitor import chosen_name, visitor_name
from pipeline.web.routes import models as models_page
from pipeline.web.routes.parameters import Number, Whole
from pipeline.web.served_models import version_comparison
from pipeline.web.served_models.learnt_versions import LearntVersion
from pipeline.web.served_models.version_comparison import ChangeGroup
from pipeline.web.services import learning
from pipeline.web.services.context import AppContext, ContextDep
from pipeline.web.services.learning import Learning
from pipeline.web.views.rendering import render

router = APIRouter(prefix="/models", include_in_schema=False)

SHOWN = 24
"""Photos of each group of changes, and contradicted photos, with pictures."""

Seen = Annotated[Whole, Form()]
"""The version in force that the page showed."""


@router.get("/learn/now")
def now(request: Request, context: ContextDep, was_busy: str = "") -> Response:
    """Return the part of the page Models that is updated while something is learnt."""
    if "hx-request" not in request.headers:
        return see_other(request, "/models#learning")
    state = learning.state_of(context)
    said = _ended(state) if was_busy == "learning" and not state.is_running else ""
    return render(request, "learning.html", learning=state, whole=False, said=said, **_least())


@router.post("/learn")
def learn(request: Request, context: ContextDep) -> Response:
    """Start learning."""
    return _changed(request, context, context.learning.start)


@router.get("/versions/{number}")
def version(request: Request, context: ContextDep, number: Number) -> Response:
    """Return the page of a version. Raises Problem 404, ModelError."""
    return _show(request, context, number)


@router.post("/versions/{number}/promote")
def promote(request: Request, context: ContextDep, number: Number, seen: Seen) -> Response:
    """Put a version in force. Raises Problem 404."""
    _version(learning.state_of(context), number)
    by, settings = visitor_name(request), context.settings
    return _changed(
        request,
        context,
        lambda: versions.promote(settings, number, by, "promoted on the page Models", seen),
        number,
    )


@router.post("/rollback")
def rollback(request: Request, context: ContextDep, seen: Seen) -> Response:
    """Put the version that was in force before in force again."""
    by, settings = visitor_name(request), context.settings
    return _changed(
        request, context, lambda: versions.rollback(settings, by, "rolled back on the page Models", seen)
    )


def _changed(
    request: Request, context: AppContext, change: Callable[[], object], number: int | None = None
) -> Response:
    """Make a change and return to the page Models; if it is refused, show the page with the reason."""
    try:
        change()
    except PawsortError as error:
        context.cache.forget()
        response = _refused(request, context, str(error), number)
        response.status_code = 409
        return response
    context.cache.forget()
    return see_other(request, "/models#learning")


def _refused(request: Request, context: AppContext, why: str, number: int | None) -> Response:
    if number is None:
        return models_page.overview(request, context, [why])
    return _show(request, context, number, [why])


def _show(request: Request, context: AppContext, number: int, wrong: Sequence[str] = ()) -> Response:
    state = learning.state_of(context)
    found = _version(state, number)
    bundle = family(context.settings).version(number)
    content = version_comparison.parsed(learnt(bundle), found.name)
    return render(
        request,
        "version.html",
        version=found,
        learning=state,
        learnt=content,
        card=models_page.card(bundle.path) if number else Markup(""),
        wrong=wrong,
        name=chosen_name(request),
        by=visitor_name(request),
        back=f"/models/versions/{number}",
        **(_compared(context, content) if content else {}),
    )


def _version(state: Learning, number: int) -> LearntVersion:
    if state.versions is None:
        raise Problem(503, state.problem or "", "`pawsort config check` says why.")
    found = state.versions.one(number)
    if found is None:
        raise Problem(404, f"There is no version {number} of the model.", "The page Models lists them.")
    return found


def _compared(context: AppContext, content: Learnt) -> dict[str, Any]:
    comparison = content.comparison
    names = comparison.challenger, comparison.champion
    kinds = (
        ("own", "photos of your own", comparison.own, ""),
        ("base", "photos of the base", comparison.base, comparison.not_counted),
    )
    groups = version_comparison.groups(content.changed)
    shown = [*(id for group in groups for id in group.ids[:SHOWN])]
    doubted = comparison.contradictions[:SHOWN]
    shown += [photo.id for photo in doubted if photo.id is not None]
    engine = context.database.reader()
    return {
        "sides": [
            (
                kind,
                version_comparison.rows(pair, left_out),
                version_comparison.sentence(pair, words, *names),
            )
            for kind, words, pair, left_out in kinds
            if pair is not None and pair.photos
        ],
        "groups": [_with_ids_shown(group) for group in groups],
        "doubted": doubted,
        "entries": overview.entries(engine, shown) if engine and shown else {},
        "plot": version_comparison.curve_plot(content.curve) if content.curve else Markup(""),
    }


def _with_ids_shown(group: ChangeGroup) -> tuple[ChangeGroup, tuple[int, ...]]:
    return group, group.ids[:SHOWN]


def _ended(state: Learning) -> str:
    """Return what a screen reader says when a learning has ended."""
    status = state.status
    if status is None:
        return ""
    return "Learning is done." if status.state == "done" else f"Learning {status.state}: {status.reason}"


def _least() -> dict[str, int]:
    return {"least": learning.LEAST}
