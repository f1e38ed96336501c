"""Requests to the owners of files, and who owns a file. Every function raises DatabaseError.

SQLite has one worker, who owns every file: there nothing is asked of the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Engine, TextClause, exists, func, select, text

from db.connection.engine import reading
from db.ledger.requests import TAKEN_BACK, RequestKind
from db.schema.file_names import RawName
from db.schema.records import Entry
from db.schema.rows import entries_by, in_pieces
from db.schema.tables import Via, files
from db.schema.worker_tables import IS_OPEN, requests, workers


class Request(NamedTuple):
    """A request: who asked for what, of which file, and whose it is.

    `owner` is the name of the worker `worker_id`, None if it has never started. `name` is that of the file;
    `version` the number of the file's last move that the person saw. `problem` says why nothing was changed.
    """

    id: int
    worker_id: int
    owner: str | None
    file_id: int
    name: RawName
    version: int
    kind: RequestKind
    label: str | None
    by: str
    via: Via
    asked_at: datetime
    done_at: datetime | None
    problem: str | None

    @property
    def is_open(self) -> bool:
        """Whether it was neither carried out nor taken back yet."""
        return self.done_at is None


_COLUMNS = (
    requests.c.id, requests.c.worker_id, workers.c.name.label("owner"), requests.c.file_id, files.c.name,
    requests.c.seen_version, requests.c.kind, requests.c.label, requests.c.by, requests.c.via,
    requests.c.asked_at, requests.c.done_at, requests.c.problem,
)  # fmt: skip

_ALL = (
    select(*_COLUMNS)
    .join_from(requests, files, files.c.id == requests.c.file_id)
    .outerjoin(workers, workers.c.id == requests.c.worker_id)
)


def has_one_owner(engine: Engine) -> bool:
    """Return whether all files are of one worker, by the kind of the database."""
    return engine.dialect.name == "sqlite"


def owners(engine: Engine, ids: Collection[int]) -> dict[int, int]:
    """Return the worker of each of these files, by id; nothing for SQLite, and for ids that no file has."""
    found: dict[int, int] = {}
    if has_one_owner(engine):
        return found
    with reading(engine) as connection:
        for part in in_pieces(sorted(set(ids))):
            rows = select(files.c.id, files.c.worker_id).where(files.c.id.in_(part))
            found |= dict(connection.execute(rows).all())
    return found


def filed_elsewhere(
    engine: Engine, own: int, path: RawName, worker: str | None, *, or_undone: bool = False
) -> list[Entry]:
    """Return the filed files of other workers than `own` at a path, or of a name if it has no slash.

    With `worker` only those of the worker of this name, which may be `own`; `or_undone` also those that an
    undo has put back.
    """
    if has_one_owner(engine):
        return []
    named = files.c.path == path if b"/" in path else files.c.name == path
    states = ("filed", "undone") if or_undone else ("filed",)
    one = select(workers.c.id).where(workers.c.name == worker).scalar_subquery()
    whose = files.c.worker_id != own if worker is None else files.c.worker_id == one
    with reading(engine) as connection:
        return entries_by(connection, named, files.c.state.in_(states), whose)


def request(engine: Engine, id: int) -> Request | None:
    """Return a request by its number, None if there is none."""
    found = _select(engine, requests.c.id == id)
    return found[0] if found else None


def of_file(engine: Engine, file_id: int) -> list[Request]:
    """Return all requests of a file, oldest first."""
    return _select(engine, requests.c.file_id == file_id)


def open_of(engine: Engine, file_ids: Collection[int]) -> dict[int, Request]:
    """Return the open requests of these files, by the id of the file."""
    parts = in_pieces(sorted(set(file_ids)))
    found = [each for part in parts for each in _select(engine, requests.c.file_id.in_(part), text(IS_OPEN))]
    return {each.file_id: each for each in found}


def open_requests(engine: Engine, limit: int = 100, worker: int | None = None) -> list[Request]:
    """Return the `limit` oldest open requests of all workers, or of one."""
    whose = () if worker is None else (requests.c.worker_id == worker,)
    return _select(engine, text(IS_OPEN), *whose, limit=limit)


def count_open(engine: Engine) -> dict[int, int]:
    """Count the open requests by worker."""
    if has_one_owner(engine):
        return {}
    counted = select(requests.c.worker_id, func.count()).where(text(IS_OPEN)).group_by(requests.c.worker_id)
    with reading(engine) as connection:
        return dict(connection.execute(counted.order_by(requests.c.worker_id)).all())


def refused_within(engine: Engine, past: timedelta, limit: int = 20) -> list[Request]:
    """Return the newest `limit` requests that ended with a problem in the `past`, oldest first.

    Those that a person took back are none.
    """
    if has_one_owner(engine):
        return []
    lately = requests.c.problem.is_not(None), requests.c.done_at >= func.now() - past
    refused = ~requests.c.problem.startswith(TAKEN_BACK)
    with reading(engine) as connection:
        newest = select(requests.c.id).where(*lately, refused).order_by(requests.c.id.desc()).limit(limit)
        ids = connection.execute(newest).scalars().all()
    return _select(engine, requests.c.id.in_(ids))


def asked_ids(connection: Connection) -> Iterator[Sequence[int]]:
    """Yield the ids of the files that have an open request, in pieces short enough for an IN."""
    if connection.dialect.name != "sqlite":
        yield from in_pieces(
            connection.execute(select(requests.c.file_id).where(text(IS_OPEN))).scalars().all()
        )


def not_asked(connection: Connection) -> Sequence[ColumnElement[bool]]:
    """Return the condition that no request of a row of `files` is open; none for SQLite."""
    if connection.dialect.name == "sqlite":
        return ()
    return (~exists().where(requests.c.file_id == files.c.id, text(f"requests.{IS_OPEN}")),)


def _select(
    engine: Engine, *conditions: ColumnElement[bool] | TextClause, limit: int | None = None
) -> list[Request]:
    if has_one_owner(engine):
        return []
    with reading(engine) as connection:
        chosen = _ALL.where(*conditions).order_by(requests.c.id).limit(limit)
        return [Request(*cast(tuple[Any, ...], row)) for row in connection.execute(chosen)]
