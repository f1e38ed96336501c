"""Let all rows follow a folder that was moved: every path that begins with its old one gets the new one.

Paths are compared as text in their readable form, in which a slash is always one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    Text,
    and_,
    func,
    literal,
    or_,
    select,
    text,
    type_coerce,
    update,
)

from db.connection.engine import reading, writing
from db.schema.file_names import RawName, escape
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entry_of
from db.schema.tables import IS_UNDONE, files, moves

COLUMNS: tuple[Column[Any], ...] = (
    files.c.path, files.c.destination, files.c.inbox, moves.c.source, moves.c.destination,
)  # fmt: skip
"""All columns with an absolute path; `source_path` of the view comes from `inbox`."""

PAGE = 500


def below(column: Column[Any], old: RawName, new: RawName) -> ColumnElement[bool]:
    """Return whether a path is `old` or in it; what lies in `new`, if that is in `old`, has followed."""
    found = _is_below(column, old)
    return and_(found, ~_is_below(column, new)) if new.startswith(old + b"/") else found


def count(engine: Engine, old: RawName, new: RawName) -> dict[str, int]:
    """Return, for each column by its table and name, how many of its paths are to follow."""
    with reading(engine) as connection:
        return {str(column): connection.scalar(_counted(column, old, new)) or 0 for column in COLUMNS}


def follow(engine: Engine, old: RawName, new: RawName) -> dict[str, int]:
    """Write the new paths, all in one transaction; return how many by column. Raises DatabaseError.

    `changed_at` stays, since nothing happened to a photo and no report is to be written again.
    """
    done: dict[str, int] = {}
    with writing(engine) as connection:
        for column in COLUMNS:
            path = literal(escape(new), Text) + func.substr(_text(column), len(escape(old)) + 1)
            written = update(column.table).where(below(column, old, new))
            done[str(column)] = connection.execute(written.values({column: path})).rowcount
    return done


def entries_below(engine: Engine, old: RawName, new: RawName) -> Iterator[Entry]:
    """Yield the rows whose path or inbox is to follow, oldest first, a page in memory at a time."""
    condition = or_(below(files.c.path, old, new), below(files.c.inbox, old, new))
    yield from _pages(engine, condition)


def links(engine: Engine) -> Iterator[Entry]:
    """Yield the filed rows of symbolic links, oldest first, a page in memory at a time."""
    yield from _pages(engine, and_(files.c.action == "symlink", files.c.state == "filed"))


def elsewhere(engine: Engine, inboxes: list[str], originals: bool, most: int) -> list[Entry]:
    """Return the newest rows of files that were put back into, or with `originals` stay in, other inboxes."""
    # The first has an index; without originals that stay, no start reads the whole table.
    at_risk = [text(IS_UNDONE), *([text("original IS NOT NULL")] if originals else [])]
    found: list[Entry] = []
    with reading(engine) as connection:
        for condition in at_risk:
            chosen = select(*FILE_COLUMNS).where(condition, files.c.inbox.not_in(inboxes))
            newest = chosen.order_by(files.c.id.desc()).limit(most)
            found += [entry_of(row) for row in connection.execute(newest)]
    return found


def _pages(engine: Engine, condition: ColumnElement[bool]) -> Iterator[Entry]:
    last = 0
    while True:
        page = select(*FILE_COLUMNS).where(condition, files.c.id > last).order_by(files.c.id).limit(PAGE)
        with reading(engine) as connection:
            entries = [entry_of(row) for row in connection.execute(page)]
        yield from entries
        if len(entries) < PAGE:
            return
        last = entries[-1].id


def _counted(column: Column[Any], old: RawName, new: RawName) -> Any:
    return select(func.count()).select_from(column.table).where(below(column, old, new))


def _is_below(column: Column[Any], folder: RawName) -> ColumnElement[bool]:
    name, path = escape(folder), _text(column)
    return or_(path == name, func.substr(path, 1, len(name) + 1) == f"{name}/")


def _text(column: Column[Any]) -> ColumnElement[str]:
    return type_coerce(column, Text)
