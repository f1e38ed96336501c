"""Queries of workers. Every function raises DatabaseError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Engine, select

from db.connection.engine import reading
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
