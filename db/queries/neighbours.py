"""The files before and after a file among those of a choice, for a view of one at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Select, literal, select, tuple_

from db.connection.engine import reading
from db.queries.browse import (
    SEARCH_SECONDS,
    WINDOW,
    Choice,
    Mark,
    all_of,
    can_match,
    hidden,
    page,
    rarest,
    within,
)
from db.schema.tables import files


class Neighbours(NamedTuple):
    """The ids of the next newer and the next older file; None if there is none, or none found in time."""

    newer: int | None = None
    older: int | None = None


def neighbours(engine: Engine, choice: Choice, mark: Mark) -> Neighbours:
    """Return the neighbours of the file at `mark`, which need not be of the choice. Raises DatabaseError.

    As a page of `browse`, each search takes at most SEARCH_SECONDS.
    """
    if not can_match(choice):
        return Neighbours()
    older = page(engine, choice, mark, 1).entries
    with reading(engine) as connection:
        newer = _newer(connection, choice, mark)
    return Neighbours(newer, older[0].id if older else None)


def _newer(connection: Connection, choice: Choice, mark: Mark) -> int | None:
    rare = rarest(connection, choice)
    if rare is None and hidden(choice):
        return _search(connection, choice, mark)
    few = [] if rare is None else [files.c.id.in_(rare)]
    return _first(connection, [*few, *all_of(choice), _after(mark)])


def _search(connection: Connection, choice: Choice, start: Mark) -> int | None:
    """Search window by window, since the conditions have no index."""
    until = time.monotonic() + SEARCH_SECONDS
    while True:
        places = select(files.c.seen_at, files.c.id).where(*within(choice), _after(start))
        row = connection.execute(_oldest_first(places).limit(1).offset(WINDOW - 1)).one_or_none()
        end = None if row is None else Mark(*row)
        reach = [] if end is None else [_place() <= _bound(end)]
        found = _first(connection, [*all_of(choice), _after(start), *reach])
        if found is not None or end is None or time.monotonic() >= until:
            return found
        start = end


def _first(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> int | None:
    chosen = _oldest_first(select(files.c.id).where(*conditions)).limit(1)
    found: int | None = connection.scalar(chosen)
    return found


def _oldest_first(chosen: Select[Any]) -> Select[Any]:
    return chosen.order_by(files.c.seen_at, files.c.id)


def _after(mark: Mark) -> ColumnElement[bool]:
    return _place() > _bound(mark)


def _place() -> ColumnElement[Any]:
    return tuple_(files.c.seen_at, files.c.id)


def _bound(mark: Mark) -> ColumnElement[Any]:
    return tuple_(literal(mark.seen_at, files.c.seen_at.type), literal(mark.id))
