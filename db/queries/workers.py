"""Queries of workers. Every function raises DatabaseError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, Double, Engine, func, null, select
from sqlalchemy import cast as sql_cast

from db.connection import session_locks
from db.connection.engine import reading
from db.schema.worker_tables import workers

SILENT_SECONDS = 30.0
"""A worker that did not stop in order is silent after so many seconds without a sign of life; it gives one
about every five seconds."""

WorkerState = Literal["running", "silent", "stopped"]


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker; what it said last as of `beat_at`, all None on SQLite. See `db.schema.worker_tables`.

    `idle_seconds` are those since its last sign of life, by the server's clock; None if there was none.
    """

    id: int
    name: str
    token: str | None
    started_at: datetime | None
    beat_at: datetime | None
    stopped_at: datetime | None
    address: str | None
    heartbeat: Mapping[str, Any] | None
    silence_said_at: datetime | None = None
    idle_seconds: float | None = None

    @property
    def state(self) -> WorkerState:
        """Whether it runs, is silent, or has stopped in order; of SQLite, which has no beats, "stopped"."""
        if self.stopped_at is not None or self.idle_seconds is None:
            return "stopped"
        return "silent" if self.idle_seconds > SILENT_SECONDS else "running"

    @property
    def is_silent(self) -> bool:
        """Whether it gives no sign of life and did not stop in order."""
        return self.state == "silent"


_COLUMNS = tuple(workers.c[field.name] for field in fields(KnownWorker) if field.name in workers.c)


def all_workers(engine: Engine) -> list[KnownWorker]:
    """Return the workers that have ever started, in the order of their ids."""
    named = select(*_COLUMNS, _idle_seconds(engine)).where(workers.c.name.is_not(None))
    with reading(engine) as connection:
        rows = connection.execute(named.order_by(workers.c.id))
        return [KnownWorker(*cast(tuple[Any, ...], row)) for row in rows]


def reporter(engine: Engine) -> int | None:
    """Return the id of the worker that writes the reports now; None if none does, and on SQLite."""
    if engine.dialect.name == "sqlite":
        return None
    with reading(engine) as connection:
        return session_locks.reporter(connection)


def _idle_seconds(engine: Engine) -> ColumnElement[Any]:
    if engine.dialect.name == "sqlite":
        return null()
    last = func.greatest(workers.c.beat_at, workers.c.started_at)
    return sql_cast(func.extract("epoch", func.now() - last), Double)
