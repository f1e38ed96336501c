"""Where rows say that their files are, to compare with folders. Every function raises DatabaseError."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Engine, Row, and_, bindparam, func, or_, select, text

from db.connection.engine import reading
from db.schema.file_names import RawName
from db.schema.rows import in_pieces
from db.schema.tables import IS_FILED, IS_REMOVED, IS_UNDONE, IS_UNFINISHED, State, files


class Place(NamedTuple):
    """The path (absolute) and the identity that a row has for its file."""

    id: int
    path: RawName
    state: State
    dev: int
    ino: int
    bytes: int
    mtime_ns: int


_COLUMNS = tuple(files.c[name] for name in Place._fields)
_AFTER = files.c.id > bindparam("after")
_PAGES = {
    state: select(*_COLUMNS).where(text(f"files.{condition}"), _AFTER).order_by(files.c.id)
    for state, condition in (("filed", IS_FILED), ("undone", IS_UNDONE))
}
_AT = select(*_COLUMNS).where(text(IS_FILED), files.c.path.in_(bindparam("paths", expanding=True)))
# A row that ended has no path; `destination` is where its file was last. A decided one is in the spool.
_LAST = (files.c.id, files.c.destination, *_COLUMNS[2:], files.c.path, files.c.sha256)
_RECALLED = or_(
    files.c.state == "decided",
    text(f"files.{IS_FILED}"),
    text(f"files.{IS_REMOVED}"),
    text(f"files.{IS_UNDONE}"),
    and_(files.c.state == "vanished", files.c.filed_at.is_not(None)),
)
_ALIKE = select(*_LAST).where(files.c.sha256.in_(bindparam("sha256s", expanding=True)), _RECALLED)


def page(engine: Engine, state: State, after: int, limit: int) -> list[Place]:
    """Return the next `limit` rows that are `filed` or `undone`, after the id `after`, by id."""
    with reading(engine) as connection:
        return [_place(row) for row in connection.execute(_PAGES[state].limit(limit), {"after": after})]


def at_paths(engine: Engine, paths: Sequence[RawName]) -> dict[RawName, list[Place]]:
    """Return the filed rows with these absolute paths, by path."""
    found: dict[RawName, list[Place]] = {}
    with reading(engine) as connection:
        for part in in_pieces(paths):
            for row in connection.execute(_AT, {"paths": part}):
                found.setdefault(row.path, []).append(_place(row))
    return found


def of_content(engine: Engine, sha256s: Collection[str]) -> dict[str, list[Place]]:
    """Return, by SHA-256, the rows of files that were filed once, the oldest first.

    The path of one that has ended is the last that it had. Files on their way into a folder are there too,
    with the path that they get.
    """
    found: dict[str, list[Place]] = {}
    with reading(engine) as connection:
        for part in in_pieces(sorted(sha256s)):
            for row in connection.execute(_ALIKE.order_by(files.c.id), {"sha256s": part}):
                path = row[1] if row.path is None or row.state == "decided" else row.path
                found.setdefault(row.sha256, []).append(Place(row[0], path or b"", *row[2:7]))
    return found


def decided(engine: Engine, ids: Sequence[int]) -> list[Place]:
    """Return the decided rows of these ids, each with the path that its file was to get."""
    found: list[Place] = []
    with reading(engine) as connection:
        for part in in_pieces(ids):
            some = select(*_LAST).where(files.c.id.in_(part), files.c.state == "decided")
            found += [Place(row[0], row[1] or b"", *row[2:7]) for row in connection.execute(some)]
    return found


def on_their_way(engine: Engine, places: Sequence[Place]) -> set[int]:
    """Return the ids of `places` whose file, or another of its content, is being processed now."""
    asked = {place.id for place in places}
    here = select(files.c.id, files.c.ino, files.c.sha256).where(text(IS_UNFINISHED))
    contents = select(files.c.id, files.c.sha256)
    with reading(engine) as connection:
        rows = [row for row in connection.execute(here) if row.id not in asked]
        inodes, sha256s = {row.ino for row in rows}, {row.sha256 for row in rows if row.sha256}
        of = dict[int, str | None]()
        for ids in in_pieces([place.id for place in places] if sha256s else []):
            of |= dict(connection.execute(contents.where(files.c.id.in_(ids))).all())
    return {place.id for place in places if place.ino in inodes or of.get(place.id) in sha256s}


def last_id(engine: Engine) -> int:
    """Return the highest id of a row, 0 without rows."""
    with reading(engine) as connection:
        return connection.scalar(select(func.max(files.c.id))) or 0


def _place(row: Row[Any]) -> Place:
    return Place(*cast(tuple[Any, ...], row))
