"""Rows that `doctor` compares with files, read in short transactions. Every function raises DatabaseError.

Conditions of states are the text constants of `db.schema.tables`, so that their partial indexes are used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, func, select, text

from db.connection.engine import reading
from db.schema.file_names import RawName
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entries_by, entry_of, in_pieces
from db.schema.tables import IS_FILED, IS_NOTED, IS_PENDING, IS_UNFINISHED, files, moves

PAGE = 500
PATHS_PAGE = 5_000


class PendingMove(NamedTuple):
    """A correction or undo that has begun and is not done."""

    file_id: int
    source: RawName
    kind: str


def filed(engine: Engine) -> Iterator[Entry]:
    """Yield the rows of filed files, oldest first, a page in memory at a time."""
    return _entries(engine, IS_FILED)


def unfinished(engine: Engine) -> Iterator[Entry]:
    """Yield the rows of files between claim and filing, oldest first, a page in memory at a time."""
    return _entries(engine, IS_UNFINISHED)


def filed_paths(engine: Engine) -> Iterator[RawName]:
    """Yield the path of each filed row, oldest first, a page in memory at a time."""
    last = 0
    while True:
        page = select(files.c.id, files.c.path).where(text(IS_FILED), files.c.id > last).order_by(files.c.id)
        with reading(engine) as connection:
            rows = connection.execute(page.limit(PATHS_PAGE)).all()
        yield from (path for _, path in rows if path is not None)
        if len(rows) < PATHS_PAGE:
            return
        last = rows[-1].id


def filed_as(engine: Engine, name: RawName) -> list[Entry]:
    """Return the filed rows whose base name is `name`, oldest first."""
    with reading(engine) as connection:
        return entries_by(connection, files.c.name == name, text(IS_FILED))


def is_noted(engine: Engine, path: RawName) -> bool:
    """Return whether a backfill has noted a photo at this absolute path."""
    # By its name, which has an index.
    here = files.c.name == os.path.basename(path), text(IS_NOTED), files.c.path == path
    with reading(engine) as connection:
        return connection.scalar(select(files.c.id).where(*here).limit(1)) is not None


def sharing_a_path(engine: Engine) -> list[list[Entry]]:
    """Return, for each path that more than one filed row has, these rows."""
    shared = select(files.c.path).where(text(IS_FILED)).group_by(files.c.path).having(func.count() > 1)
    with reading(engine) as connection:
        paths = connection.execute(shared).scalars().all()
        return [entries_by(connection, files.c.path == path, text(IS_FILED)) for path in paths]


def same_content(engine: Engine, entry: Entry, limit: int) -> list[Entry]:
    """Return the newest `limit` other filed rows with the SHA-256 of `entry` and another path."""
    if not entry.sha256:
        return []
    same = files.c.sha256 == entry.sha256, files.c.id != entry.id, files.c.path != entry.path, text(IS_FILED)
    newest = select(*FILE_COLUMNS).where(*same).order_by(files.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return [entry_of(row) for row in connection.execute(newest)]


def same_file(engine: Engine, entry: Entry) -> list[Entry]:
    """Return other filed rows of this very file by its name, where one of the two has no SHA-256."""
    unread = files.c.sha256.is_(None) if entry.sha256 else text("true")
    same = files.c.name == entry.name, files.c.id != entry.id, files.c.path != entry.path, text(IS_FILED)
    with reading(engine) as connection:
        found = entries_by(connection, *same, unread)
    identity = entry.dev, entry.ino, entry.bytes, entry.mtime_ns
    return [other for other in found if other.is_version(identity)]


def is_current(engine: Engine, entry: Entry) -> bool:
    """Return whether a row is unchanged and no pending move concerns its file."""
    return entry.id in current(engine, [entry])


def current(engine: Engine, entries: Sequence[Entry]) -> set[int]:
    """Return the ids of the rows that are unchanged and whose file no pending move concerns."""
    before = {entry.id: entry for entry in entries}
    with reading(engine) as connection:
        now = [
            entry
            for ids in in_pieces(sorted(before))
            for entry in entries_by(connection, files.c.id.in_(ids))
        ]
        moving = set(connection.execute(select(moves.c.file_id).where(text(IS_PENDING))).scalars())
    return {entry.id for entry in now if before[entry.id] == entry} - moving


def pending_moves(engine: Engine) -> list[PendingMove]:
    """Return the moves that are not done, oldest first."""
    pending = select(moves.c.file_id, moves.c.source, moves.c.kind).where(text(IS_PENDING))
    with reading(engine) as connection:
        return [PendingMove(*row) for row in connection.execute(pending.order_by(moves.c.id))]


def spooled(engine: Engine, names: Sequence[str]) -> set[str]:
    """Return which of these names in the spool belong to unfinished rows."""
    return _known(engine, files.c.spool_name, names, IS_UNFINISHED)


def expected(engine: Engine, paths: Sequence[RawName]) -> set[RawName]:
    """Return which of these paths are destinations of unfinished rows."""
    return _known(engine, files.c.destination, paths, IS_UNFINISHED)


def moving(engine: Engine, paths: Sequence[RawName]) -> set[RawName]:
    """Return which of these paths are the source or the destination of a pending move."""
    return _known(engine, moves.c.source, paths, IS_PENDING) | _known(
        engine, moves.c.destination, paths, IS_PENDING
    )


def _entries(engine: Engine, condition: str) -> Iterator[Entry]:
    last = 0
    while True:
        ids = select(files.c.id).where(text(condition), files.c.id > last).order_by(files.c.id).limit(PAGE)
        with reading(engine) as connection:
            page = entries_by(connection, files.c.id.in_(ids.subquery().select()))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].id


def _known(engine: Engine, column: ColumnElement[Any], values: Sequence[Any], condition: str) -> set[Any]:
    with reading(engine) as connection:
        return set(connection.execute(select(column).where(column.in_(values), text(condition))).scalars())
