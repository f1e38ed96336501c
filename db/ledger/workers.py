"""Workers: names on a database that may have many, whose each is, and their signs of life."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from db.connection.engine import writing
from db.connection.errors import DatabaseReserved
from db.schema.tables import files
from db.schema.worker_tables import FIRST, workers

_TAKEN = (
    "the worker name {name!r} is of another state folder in this database. If that is on another machine, "
    "choose a name by `worker:` in the settings; if this machine takes its place, and has its photos at the "
    "same paths, `pawsort workers --take-over {name}` gives this one its files"
)

_KNOWN = ("name", "token", "started_at", "beat_at", "stopped_at", "address", "heartbeat")


def register(engine: Engine, name: str, token: str, *, take_over: bool = False) -> int:
    """Return the id of the worker whose state folder has `token`; it gets a row at its first start.

    On SQLite there is one worker. Elsewhere the first of all gets the rows of files from before there could
    be many. Raises DatabaseReserved if `name` is of another state folder, unless that is to be taken over by
    one that has no files: the row of that one is free then.
    """
    if engine.dialect.name == "sqlite":
        return FIRST
    with writing(engine) as connection:
        known = select(workers.c.id, workers.c.name, workers.c.token).with_for_update()
        rows = connection.execute(known.order_by(workers.c.id)).all()
        mine = next((row for row in rows if row.token == token), None)
        other = next((row for row in rows if row.name == name and row.token != token), None)
        if other is not None and take_over and mine is not None and _has_no_files(connection, mine.id):
            free_again = dict.fromkeys(_KNOWN)
            connection.execute(update(workers).where(workers.c.id == mine.id).values(free_again))
            mine = None
        if other is not None and not (take_over and mine is None):
            raise DatabaseReserved(_TAKEN.format(name=name))
        free = other or next((row for row in rows if row.name is None), None)
        if row := mine or free:
            connection.execute(update(workers).where(workers.c.id == row.id).values(name=name, token=token))
            return int(row.id)
        new = insert(workers).values(name=name, token=token)
        return int(connection.execute(new.returning(workers.c.id)).scalar_one())


def _has_no_files(connection: Connection, id: int) -> bool:
    return connection.scalar(select(files.c.id).where(files.c.worker_id == id).limit(1)) is None


def started(engine: Engine, id: int, name: str, token: str, at: datetime) -> None:
    """Record that a worker starts, which holds the lock of its id."""
    values = {"name": name, "token": token, "started_at": at, "stopped_at": None}
    with writing(engine) as connection:
        connection.execute(update(workers).where(workers.c.id == id).values(values))


def beat(engine: Engine, id: int, at: datetime, heartbeat: Mapping[str, Any], address: str | None) -> None:
    """Record a sign of life of a worker, with its heartbeat and the address of its pages."""
    with writing(engine) as connection:
        alive = update(workers).where(workers.c.id == id)
        connection.execute(alive.values(beat_at=at, heartbeat=dict(heartbeat), address=address))


def stopped(engine: Engine, id: int, at: datetime) -> None:
    """Record that a worker has ended in order."""
    with writing(engine) as connection:
        connection.execute(update(workers).where(workers.c.id == id).values(stopped_at=at))
