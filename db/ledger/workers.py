"""Workers: names on a database that may have many, whose each is, and their signs of life."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, or_, select, text, update

from db.connection.engine import writing
from db.connection.errors import DatabaseReserved
from db.connection.postgres import lock_schema
from db.schema.tables import files
from db.schema.worker_tables import FIRST, IS_OPEN, requests, workers

_TAKEN = (
    "the worker name {name!r} is of another state folder in this database. If that is on another machine, "
    "choose a name by `worker:` in the settings; if this machine takes its place, and has its photos at the "
    "same paths, `pawsort workers --take-over {name}` gives this one its files"
)

_HAS_FILES = (
    "the worker of this state folder has files of its own, and each worker has one set of files: to take the "
    "place of {name}, use an installation with a new state folder"
)

RETIRED = (
    "is a photo of {name}, which was retired; start its worker again, or let another machine take its place "
    "by `pawsort workers --take-over {name}`, and ask again"
)
"""Why nothing is done with a file of a retired worker, after the name of the file."""

_KNOWN = (
    "name", "token", "started_at", "beat_at", "stopped_at", "address", "heartbeat", "silence_said_at",
    "retired_at",
)  # fmt: skip

_BACK = {"retired_at": None}
"""A worker that gives a sign of life is not retired."""


def register(engine: Engine, name: str, token: str, *, take_over: bool = False) -> int:
    """Return the id of the worker whose state folder has `token`; it gets a row at its first start.

    On SQLite there is one worker. Elsewhere the first of all gets the rows of files from before there could
    be many. Raises DatabaseReserved if `name` is of another state folder, unless that is to be taken over by
    one that has no files: the row of that one is free then. A new name of a known token is only taken by
    `started`, since that of a copied state folder may be of a worker that runs.
    """
    if engine.dialect.name == "sqlite":
        return FIRST
    with writing(engine) as connection:
        # Not the rows, into which workers that run write their signs of life.
        lock_schema(connection)
        known = select(workers.c.id, workers.c.name, workers.c.token)
        rows = connection.execute(known.order_by(workers.c.id)).all()
        mine = next((row for row in rows if row.token == token), None)
        other = next((row for row in rows if row.name == name and row.token != token), None)
        if other is not None and take_over and mine is not None and _has_no_files(connection, mine.id):
            free_again = dict.fromkeys(_KNOWN)
            connection.execute(update(workers).where(workers.c.id == mine.id).values(free_again))
            mine = None
        if other is not None and not (take_over and mine is None):
            raise DatabaseReserved((_HAS_FILES if take_over else _TAKEN).format(name=name))
        if mine is not None:
            return int(mine.id)
        if free := other or next((row for row in rows if row.name is None), None):
            connection.execute(update(workers).where(workers.c.id == free.id).values(name=name, token=token))
            return int(free.id)
        new = insert(workers).values(name=name, token=token)
        return int(connection.execute(new.returning(workers.c.id)).scalar_one())


def _has_no_files(connection: Connection, id: int) -> bool:
    return connection.scalar(select(files.c.id).where(files.c.worker_id == id).limit(1)) is None


def started(engine: Engine, id: int, name: str, token: str, at: datetime) -> None:
    """Record that a worker starts, which holds the lock of its id; `at` counts on SQLite alone.

    Raises DatabaseReserved if its place was taken over before it had the lock.
    """
    values = {"name": name, "token": token, "started_at": _now(engine, at), "stopped_at": None, **_BACK}
    its = [] if engine.dialect.name == "sqlite" else [workers.c.token == token]
    with writing(engine) as connection:
        mine = update(workers).where(workers.c.id == id, *its)
        if not connection.execute(mine.values(values)).rowcount and its:
            raise DatabaseReserved(_TAKEN.format(name=name))


def beat(engine: Engine, id: int, heartbeat: Mapping[str, Any], address: str | None) -> None:
    """Record a sign of life of a worker on a server, with its heartbeat and the address of its pages."""
    values = {"beat_at": func.now(), "heartbeat": dict(heartbeat), "address": address, **_BACK}
    with writing(engine) as connection:
        connection.execute(update(workers).where(workers.c.id == id).values(values))


def stopped(engine: Engine, id: int, at: datetime) -> None:
    """Record that a worker has ended in order; `at` counts on SQLite alone."""
    with writing(engine) as connection:
        ended = update(workers).where(workers.c.id == id)
        connection.execute(ended.values(stopped_at=_now(engine, at)))


def retire(engine: Engine, id: int, silent_seconds: float) -> int | None:
    """Record that a worker is gone for good, until it starts again, and end its open requests.

    Server only. Returns how many requests these were; None, with nothing changed, if it gave a sign of life
    in the last `silent_seconds` and did not stop in order.
    """
    last = func.greatest(workers.c.beat_at, workers.c.started_at)
    silent = or_(last.is_(None), last < func.now() - timedelta(seconds=silent_seconds))
    gone = workers.c.id == id, or_(workers.c.stopped_at.is_not(None), silent)
    with writing(engine) as connection:
        # Locked first: what is asked at this moment is either ended here or refused.
        name = connection.scalar(select(workers.c.name).where(*gone).with_for_update())
        if name is None:
            return None
        since = func.coalesce(workers.c.retired_at, func.now())
        connection.execute(update(workers).where(workers.c.id == id).values(retired_at=since))
        its = update(requests).where(requests.c.worker_id == id, text(IS_OPEN))
        ended = its.values(done_at=func.now(), problem=RETIRED.format(name=name))
        return connection.execute(ended).rowcount


def say_silent(engine: Engine, ids: Collection[int]) -> None:
    """Record that it was said of these workers that they are silent, and of no others. Server only."""
    said = workers.c.id.in_(ids)
    known = workers.c.silence_said_at.is_not(None)
    with writing(engine) as connection:
        new = update(workers).where(said, ~known)
        connection.execute(new.values(silence_said_at=func.now()))
        connection.execute(update(workers).where(~said, known).values(silence_said_at=None))


def _now(engine: Engine, at: datetime) -> Any:
    """Return the server's time, since the clocks of machines differ; on SQLite `at`."""
    return at if engine.dialect.name == "sqlite" else func.now()
