"""Learning and versions of the model as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from pipeline.errors import LockError, ModelError, PawsortError, SettingsError
from pipeline.learning import versions
from pipeline.learning.versions import Version, family
from pipeline.web.middleware.openapi import ALWAYS, CHANGING, InForce, LearningState, answers
from pipeline.web.middleware.problems import Problem
from pipeline.web.middleware.visitor import visitor_name
from pipeline.web.routes.api import By
from pipeline.web.routes.parameters import Number, Whole
from pipeline.web.services.context import AppContext, ContextDep

router = APIRouter(prefix="/api/models", tags=["api"])

Seen = Annotated[
    Whole | None,
    Query(description="The version in force as you read it; 409 if another came into force since."),
]


@router.post("/versions/{number}/promote", responses=answers(*CHANGING, 404, 409, 422, ok=InForce))
def promote(
    request: Request,
    context: ContextDep,
    number: Number,
    in_force: Seen = None,
    by: By = None,
) -> dict[str, Any]:
    """Put a version of the model in force, 0 for the model as it came; the worker changes to it by itself."""
    known = family(context.settings)
    if number and number not in known.numbers():
        raise Problem(404, f"There is no version {number} of the model.", "GET /api/models lists them.")
    name = visitor_name(request, by)
    return _in_force(
        context, lambda: versions.promote(context.settings, number, name, "promoted by the API", in_force)
    )


@router.post("/rollback", responses=answers(*CHANGING, 409, 422, ok=InForce))
def rollback(request: Request, context: ContextDep, in_force: Seen = None, by: By = None) -> dict[str, Any]:
    """Put the version in force again that was in force before."""
    name = visitor_name(request, by)
    return _in_force(
        context, lambda: versions.rollback(context.settings, name, "rolled back by the API", in_force)
    )


@router.get("/learn", responses=answers(*ALWAYS, ok=LearningState | None))
def learning(context: ContextDep) -> dict[str, Any] | None:
    """Return the state of the last learning, null if there was none."""
    status = context.learning.status()
    return status.as_dict() if status else None


@router.post("/learn", status_code=202, responses=answers(*CHANGING, 409))
def learn(context: ContextDep) -> LearningState:
    """Start learning from the judged photos; GET shows its progress."""
    try:
        context.learning.start()
    except PawsortError as error:
        raise Problem(409, f"{error}.", "GET /api/models/learn shows the state of the last one.") from error
    status = context.learning.status()
    assert status is not None
    return LearningState(**status.as_dict())


def _in_force(context: AppContext, change: Callable[[], Version]) -> dict[str, Any]:
    """Return the version that a change has put in force. Raises Problem 409."""
    try:
        version = change()
    except (LockError, ModelError, SettingsError) as error:
        raise Problem(
            409, f"{error}.", "GET /api/models shows the versions, and which is in force."
        ) from error
    finally:
        context.cache.forget()
    return {"version": version.number, "name": version.name}
