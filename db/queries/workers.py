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
from db.connection.postgres import owner_of
from db.schema.file_names import RawName, escape
from db.schema.results_view import results as view
from db.schema.worker_tables import workers

SILENT_SECONDS = 30.0
"""A worker that did not stop in order is silent after so many seconds without a sign of life; it gives one
about every five seconds."""

WorkerState = Literal["running", "silent", "stopped", "retired"]


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
    retired_at: datetime | None = None
    idle_seconds: float | None = None

    @property
    def state(self) -> WorkerState:
        """Whether it runs, is silent, stopped in order or is retired; "stopped" on SQLite, without beats."""
        if self.retired_at is not None:
            return "retired"
        if self.stopped_at is not None or self.idle_seconds is None:
            return "stopped"
        return "silent" if self.idle_seconds > SILENT_SECONDS else "running"

    @property
    def last_sign_at(self) -> datetime | None:
        """When it gave its last sign of life, or started; None if never, and on SQLite after its start."""
        return max((at for at in (self.beat_at, self.started_at) if at), default=None)

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
    return having_turn(engine, session_locks.REPORTER)


def watcher(engine: Engine) -> int | None:
    """Return the id of the worker that says which are silent; None if none does, and on SQLite."""
    return having_turn(engine, session_locks.WATCHER)


def having_turn(engine: Engine, first: int) -> int | None:
    """Return the id of the worker that has one of the locks of `session_locks.lock_of_one`."""
    if engine.dialect.name == "sqlite":
        return None
    with reading(engine) as connection:
        return next((id for id in session_locks.holders(connection, first) if id), None)


def _idle_seconds(engine: Engine) -> ColumnElement[Any]:
    if engine.dialect.name == "sqlite":
        return null()
    last = func.greatest(workers.c.beat_at, workers.c.started_at)
    return sql_cast(func.extract("epoch", func.now() - last), Double)


def running_workers(engine: Engine) -> set[int] | None:
    """Return the ids of the workers that run now, wherever that is; None on SQLite, which does not know."""
    if engine.dialect.name == "sqlite":
        return None
    with reading(engine) as connection:
        return session_locks.holders(connection, session_locks.WORKERS)


def name_of(engine: Engine) -> str | None:
    """Return the name of the worker whose files an engine has, None where there can be one worker only."""
    if engine.dialect.name == "sqlite":
        return None
    mine = owner_of(engine)
    return next((worker.name for worker in all_workers(engine) if worker.id == mine), None)


def having_path(engine: Engine, path: RawName, *, is_name: bool = False) -> list[str]:
    """Return the names of other workers that have filed photos at a path, or with `is_name` of a name."""
    return _others(engine, view.c.name == escape(path) if is_name else view.c.path == escape(path))


def having_id(engine: Engine, id: int) -> list[str]:
    """Return the name of the other worker that has the photo `id` in a folder; none if it is our own."""
    return _others(engine, view.c.id == id)


def _others(engine: Engine, condition: ColumnElement[bool]) -> list[str]:
    """Return the names of workers, but that of `engine`, that have filed photos of a condition."""
    if engine.dialect.name == "sqlite":
        return []
    found = select(view.c.worker).where(view.c.state == "filed", condition).distinct().order_by(view.c.worker)
    with reading(engine) as connection:
        names = list(connection.execute(found).scalars())
    own = name_of(engine)
    return [name for name in names if name is not None and name != own]
