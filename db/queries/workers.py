"""Queries of workers. Every function raises DatabaseError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Engine, select

from db.connection.engine import reading
from db.connection.postgres import owner_of, running
from db.schema.file_names import RawName, escape
from db.schema.results_view import results as view
from db.schema.worker_tables import workers


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker; what it said last as of `beat_at`, all None on SQLite. See `db.schema.worker_tables`."""

    id: int
    name: str
    token: str | None
    started_at: datetime | None
    beat_at: datetime | None
    stopped_at: datetime | None
    address: str | None
    heartbeat: Mapping[str, Any] | None


_COLUMNS = tuple(workers.c[field.name] for field in fields(KnownWorker))


def all_workers(engine: Engine) -> list[KnownWorker]:
    """Return the workers that have ever started, in the order of their ids."""
    named = select(*_COLUMNS).where(workers.c.name.is_not(None)).order_by(workers.c.id)
    with reading(engine) as connection:
        return [KnownWorker(*cast(tuple[Any, ...], row)) for row in connection.execute(named)]


def running_workers(engine: Engine) -> set[int] | None:
    """Return the ids of the workers that run now, wherever that is; None on SQLite, which does not know."""
    if engine.dialect.name == "sqlite":
        return None
    with reading(engine) as connection:
        return running(connection)


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
