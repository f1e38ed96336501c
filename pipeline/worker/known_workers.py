"""The workers that share a database, as `status`, the pages and the metrics show them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from db.queries.workers import KnownWorker, WorkerState, all_workers, reporter, watcher
from pipeline.errors import SettingsError
from pipeline.logs import printable
from pipeline.worker.identity import remembered

log = logging.getLogger(__name__)

NONE_WATCHES = "no worker says when another is silent; one that has `notify.urls` does, within a minute"


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker of a shared database; `is_own` is that of this state folder, `reports` the one that does.

    `watches` is whether it is the one that says in alerts which are silent.

    `health`, `doing` (a `heartbeat.State`), `waiting` files and `rate_per_second` are what it said last, None
    if nothing; `idle_seconds` have passed since its last sign of life, by the server's clock.
    """

    name: str
    state: WorkerState
    is_own: bool
    reports: bool
    doing: str | None
    health: str | None
    reasons: tuple[str, ...]
    waiting: int | None
    rate_per_second: float | None
    idle_seconds: float | None
    last_sign_at: datetime | None
    address: str | None
    watches: bool = False

    @property
    def words(self) -> str:
        """Its state in words."""
        if self.state == "silent":
            return f"silent for {duration(self.idle_seconds or 0.0)}"
        if self.state == "running" and self.doing in ("starting", "paused", "stopping"):
            return self.doing
        return self.state

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self) | {"reasons": list(self.reasons)}
        return values | {"last_sign_at": self.last_sign_at.isoformat() if self.last_sign_at else None}

    def as_line(self) -> str:
        """Return one line for people."""
        parts = [self.words]
        is_expected = self.state in ("running", "silent")
        if is_expected and self.health not in (None, "ok"):
            parts.append(f"health {self.health}")
        if self.waiting is not None and is_expected:
            parts.append(f"{self.waiting} waiting")
        if self.idle_seconds is not None and self.state == "running":
            parts.append(f"last sign of life {duration(self.idle_seconds)} ago")
        notes = (("reports", self.reports), ("says who is silent", self.watches), ("this one", self.is_own))
        parts += [note for note, true in notes if true]
        return printable(f"{self.name}: {', '.join(parts)}")


def seen(engine: Engine | None, state: Path) -> tuple[WorkerSeen, ...]:
    """Return the workers of a database on a server; none on SQLite, which has one. Raises DatabaseError.

    `state` is the state folder of this worker.
    """
    if engine is None or engine.dialect.name == "sqlite":
        return ()
    roles, token = (reporter(engine), watcher(engine)), _token(state)
    return tuple(_seen(worker, *roles, token) for worker in all_workers(engine))


def none_watches(workers: Sequence[WorkerSeen]) -> bool:
    """Return whether there are many workers, of which some run, and none that says which is silent."""
    is_at_work = any(worker.state == "running" for worker in workers)
    return len(workers) > 1 and is_at_work and not any(worker.watches for worker in workers)


def another_reports(workers: Sequence[WorkerSeen]) -> bool:
    """Return whether a worker of another state folder reports, so that what is here of drift is outdated."""
    return any(worker.reports and not worker.is_own for worker in workers)


def duration(seconds: float) -> str:
    """Return a duration in words, in one unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _seen(worker: KnownWorker, reports: int | None, watches: int | None, token: str | None) -> WorkerSeen:
    said: Mapping[str, Any] = worker.heartbeat or {}
    waiting, rate = said.get("waiting"), said.get("rate_per_second")
    return WorkerSeen(
        name=worker.name,
        state=worker.state,
        is_own=token is not None and worker.token == token,
        reports=worker.id == reports,
        doing=said.get("state"),
        health=said.get("health"),
        reasons=tuple(map(str, said.get("reasons", ()))),
        waiting=int(waiting) if waiting is not None else None,
        rate_per_second=float(rate) if rate is not None else None,
        idle_seconds=worker.idle_seconds,
        last_sign_at=worker.last_sign_at,
        address=worker.address,
        watches=worker.id == watches,
    )


def _token(state: Path) -> str | None:
    try:
        known = remembered(state)
    except (OSError, SettingsError) as error:
        log.warning("it is not known which worker is this one: %s", error)
        return None
    return known.token if known else None
