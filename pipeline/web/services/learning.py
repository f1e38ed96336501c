"""How learning and the versions of the model stand, for the pages and the API."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.queries import judged
from pipeline.errors import ModelError
from pipeline.learning.diary import last_learnt
from pipeline.learning.learn_status import LearnStatus
from pipeline.learning.versions import family
from pipeline.web.served_models.learnt_versions import LearntVersion, VersionList, versions_of
from pipeline.web.services.context import AppContext
from pipeline.worker import heartbeat
from pipeline.worker.locks import holder

LEAST = 20
"""Judged photos without which nothing is learnt."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Number of photos that people judged, and of those judged since the last learning, if there was one."""

    total: int
    new: int
    has_learnt: bool


@dataclass(frozen=True, slots=True)
class WorkersModel:
    """What a person should know of the worker's model; `is_changing` while it changes to the one in force."""

    words: str
    mood: str
    is_changing: bool = False


@dataclass(frozen=True, slots=True)
class Learning:
    """How learning stands; `versions` is None if the configured model cannot be read, with the `problem`.

    `worker` is None as long as nothing was learnt.
    """

    status: LearnStatus | None
    answers: Answers
    versions: VersionList | None
    problem: str | None
    worker: WorkersModel | None
    can_start: bool

    @property
    def is_running(self) -> bool:
        """Whether something is being learnt."""
        return self.status is not None and self.status.state == "running"

    @property
    def is_changing(self) -> bool:
        """Whether the page should look again soon."""
        return self.is_running or bool(self.worker and self.worker.is_changing)


def state_of(context: AppContext) -> Learning:
    """Return how learning stands. Raises DatabaseError, OSError."""
    status = context.learning.status()
    try:
        versions, problem = versions_now(context, status), None
    except ModelError as error:
        versions, problem = None, str(error)
    return Learning(
        status=status,
        answers=answers_of(context),
        versions=versions,
        problem=problem,
        worker=workers_model(context.settings.state, versions) if versions else None,
        can_start=context.learning.can_start,
    )


def versions_now(context: AppContext, status: LearnStatus | None) -> VersionList:
    """Return the versions, cached as long as no learning ends. Raises ModelError."""
    key = ("versions", status and (status.state, status.started_at))
    return context.cache.get(key, lambda: versions_of(context.settings))


def versions_with_path(context: AppContext) -> tuple[Path | None, tuple[LearntVersion, ...]]:
    """Return the folder of the configured model, and its versions; nothing if it cannot be read."""
    try:
        found = versions_now(context, None)
    except ModelError:
        return None, ()
    return found.path, found.versions


def answers_of(context: AppContext) -> Answers:
    """Count the judged photos. Raises DatabaseError."""
    engine = context.database.reader()
    if engine is None:
        return Answers(0, 0, False)
    total = judged.count(engine)
    since = context.cache.get("last learning", lambda: _last(context))
    return Answers(total, judged.count(engine, since) if since else total, since is not None)


def _last(context: AppContext) -> datetime | None:
    """Return when the last learning began, None if there was none."""
    with contextlib.suppress(ModelError):
        return last_learnt(family(context.settings))
    return None


def workers_model(state: Path, versions: VersionList) -> WorkersModel | None:
    """Return whether the worker answers with the version in force, from its lock and heartbeat."""
    if versions.newest is None and not versions.history:
        return None
    wanted = versions.in_force.name
    beat = heartbeat.read(state / heartbeat.FILE_NAME)
    pid = holder(state)
    if pid is None or beat is None or beat.pid != pid or beat.model is None:
        return WorkersModel(f"No worker is running. It answers with {wanted} once it is started.", "warn")
    if beat.model_problem:
        words = f"The worker stays with {beat.model}: {beat.model_problem}"
        return WorkersModel(words, "bad", is_changing=True)
    if beat.model == wanted:
        return WorkersModel(f"The worker answers with {wanted}.", "good")
    words = f"The worker is changing to {wanted}; until then {beat.model} answers."
    return WorkersModel(words, "warn", is_changing=True)
