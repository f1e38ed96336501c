"""Pages of files, newest first, from any number of files.

A page begins at the `Mark` where the one before ended, so each page costs the same. A condition without an
index is evaluated only for a limited number of the newest files; the page says so, and the next one
continues. Every function raises DatabaseError.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Text,
    func,
    literal,
    select,
    tuple_,
    type_coerce,
)  # fmt: skip

from db.connection.engine import reading
from db.queries.search.folder_search import OF_FILES, WantedFolder, conditions, few, rare_ids
from db.queries.search.name_search import ids_by_name, is_quick
from db.schema.file_names import can_stand, escape
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entry_of
from db.schema.tables import files

WINDOW = 5_000
"""Rows read at once for a condition without an index: some 5 ms, or 50 ms from an uncached disk."""

SEARCH_SECONDS = 0.1
"""Time limit of the search for a page; the next page continues it."""

COUNTED = 20_000
"""For a condition without an index, only this number of the newest files is counted."""

MOST = 100_000
"""Largest count; if there are more files, the count is this number."""


class Mark(NamedTuple):
    """A position in the order of files."""

    seen_at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Conditions for files; all must hold, None is no condition.

    `name` is part of the file's name, case-insensitive (in SQLite only for ASCII); confidences are 0 to 1,
    inclusive; `since` <= seen_at < `until`, both aware; `corrected` is whether the file has a correction;
    `taken_since` <= taken_at < `taken_until`, both naive; `worker` is the name of the file's worker.
    """

    outcome: str | None = None
    reason: str | None = None
    inbox: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    name: str | None = None
    model: str | None = None
    corrected: bool | None = None
    folder: WantedFolder | None = None
    taken_since: datetime | None = None
    taken_until: datetime | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Files in order; the next page begins at `next`, None at the end.

    `searched_to` is the time at which the search reached its limit, None if it did not.
    """

    entries: tuple[Entry, ...]
    next: Mark | None = None
    searched_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """Files by outcome, MOST if there may be more; counted back to `back_to`, None for all."""

    by_outcome: dict[str, int]
    back_to: datetime | None = None


def page(engine: Engine, choice: Choice, after: Mark | None = None, size: int = 60) -> Page:
    """Return the next `size` files of `choice` after a mark, the newest without one."""
    if not can_match(choice):
        return Page(())
    with reading(engine) as connection:
        return _page(connection, choice, after, size, rarest(connection, choice))


def first_page(
    engine: Engine, choice: Choice, outcomes: Sequence[str], size: int = 60
) -> tuple[Page, Counted]:
    """Return the newest `size` files of `choice`, and the number of files of each of `outcomes`.

    The counts ignore the outcome of `choice`.
    """
    if not can_match(choice):
        return Page(()), Counted(dict.fromkeys(outcomes, 0))
    with reading(engine) as connection:
        rare = rarest(connection, choice)
        counted = _counted(connection, replace(choice, outcome=None), outcomes, rare)
        return _page(connection, choice, None, size, rare), counted


def can_match(choice: Choice) -> bool:
    """Return whether a file can meet the conditions: the database can store all texts of them."""
    texts = (choice.name, choice.outcome, choice.reason, choice.model, choice.worker)
    paths = (choice.inbox, choice.folder and choice.folder.path)
    return all(map(can_stand, texts)) and all(can_stand(path, path=True) for path in paths)


def _page(
    connection: Connection, choice: Choice, after: Mark | None, size: int, rare: Sequence[int] | None
) -> Page:
    if rare is not None:
        return _cut(_found(connection, [files.c.id.in_(rare), *all_of(choice)], after, size), size)
    if not hidden(choice):
        return _cut(_found(connection, _base(choice), after, size), size)
    return _search(connection, choice, after, size)


def _counted(
    connection: Connection, choice: Choice, outcomes: Sequence[str], rare: Sequence[int] | None
) -> Counted:
    if rare is not None:
        return Counted(_count(connection, [files.c.id.in_(rare), *all_of(choice)], outcomes))
    if not hidden(choice):
        return Counted({outcome: _count_up(connection, choice, outcome) for outcome in outcomes})
    last = window_end(connection, choice, None, COUNTED)
    reach = [] if last is None else [_place() >= _bound(last)]
    counted = _count(connection, [*all_of(choice), *reach], outcomes)
    return Counted(counted, None if last is None else last.seen_at)


def _count_up(connection: Connection, choice: Choice, outcome: str) -> int:
    some = select(files.c.id).where(*within(replace(choice, outcome=outcome))).limit(MOST)
    return connection.scalar(select(func.count()).select_from(some.subquery())) or 0


def _search(connection: Connection, choice: Choice, after: Mark | None, size: int) -> Page:
    found: list[Entry] = []
    start = after
    until = time.monotonic() + SEARCH_SECONDS
    while True:
        last = window_end(connection, choice, start, WINDOW)
        reach = [*all_of(choice), *([] if last is None else [_place() >= _bound(last)])]
        found += _found(connection, reach, start, size - len(found))
        if last is None or len(found) > size:
            return _cut(found, size)
        if time.monotonic() >= until:
            return Page(tuple(found), last, last.seen_at)
        start = last


def _found(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], after: Mark | None, size: int
) -> list[Entry]:
    """Return up to one more than `size` files, to know whether a page follows."""
    chosen = select(*FILE_COLUMNS).where(*conditions, *_after(after))
    return [entry_of(row) for row in connection.execute(_ordered(chosen).limit(size + 1))]


def _cut(found: Sequence[Entry], size: int) -> Page:
    entries = tuple(found[:size])
    return Page(entries, mark_of(entries[-1]) if len(found) > size else None)


def mark(engine: Engine, id: int) -> Mark | None:
    """Return the position of the file `id`, None if it does not exist."""
    with reading(engine) as connection:
        place = select(files.c.seen_at, files.c.id).where(files.c.id == id)
        row = connection.execute(place).one_or_none()
    return None if row is None else Mark(*row)


def mark_of(entry: Entry) -> Mark:
    """Return the position of a file in the order."""
    return Mark(entry.seen_at, entry.id)


def window_end(connection: Connection, choice: Choice, start: Mark | None, rows: int) -> Mark | None:
    """Return the position after `rows` rows, None if there are fewer; reads an index only."""
    places = select(files.c.seen_at, files.c.id).where(*within(choice), *_after(start))
    # The only OFFSET; it is small and constant.
    row = connection.execute(_ordered(places).limit(1).offset(rows - 1)).one_or_none()
    return None if row is None else Mark(*row)


def rarest(connection: Connection, choice: Choice) -> list[int] | None:
    """Return the ids of all files that meet the rarest condition with an index, None if none is rare."""
    name = choice.name or ""
    by_name = ids_by_name(connection, name) if is_quick(connection, name) else None
    known = (_by_confidence(connection, choice), by_name, *rare_ids(connection, choice))
    return min((ids for ids in known if ids is not None), key=len, default=None)


def _by_confidence(connection: Connection, choice: Choice) -> list[int] | None:
    low, high = choice.min_confidence, choice.max_confidence
    bounds = [] if low is None else [files.c.confidence >= low]
    bounds += [] if high is None else [files.c.confidence <= high]
    return few(connection, [bounds]) if bounds else None


def _ordered(chosen: Select[Any]) -> Select[Any]:
    return chosen.order_by(files.c.seen_at.desc(), files.c.id.desc())


def _after(mark: Mark | None) -> list[ColumnElement[bool]]:
    return [] if mark is None else [_place() < _bound(mark)]


def _place() -> ColumnElement[Any]:
    return tuple_(files.c.seen_at, files.c.id)


def _bound(mark: Mark) -> ColumnElement[Any]:
    return tuple_(literal(mark.seen_at, files.c.seen_at.type), literal(mark.id))


def within(choice: Choice) -> list[ColumnElement[bool]]:
    """Return the conditions that the index of the order serves."""
    tests = {
        "outcome": lambda outcome: files.c.outcome == outcome,
        "since": lambda start: files.c.seen_at >= start,
        "until": lambda end: files.c.seen_at < end,
    }
    return _met(choice, tests)


def _base(choice: Choice) -> list[ColumnElement[bool]]:
    return [files.c.state.not_in(("vanished", "removed")), *within(choice), *_by_reason(choice)]


def _by_reason(choice: Choice) -> list[ColumnElement[bool]]:
    # Failures have their own index.
    wanted = choice.reason is not None and choice.outcome == "failed"
    return [files.c.reason == choice.reason] if wanted else []


def hidden(choice: Choice) -> list[ColumnElement[bool]]:
    """Return the other conditions, in a form that prevents the use of an index.

    SQLite keeps no statistics: it would use an index on the confidence and sort half of the table.
    """
    tests = {
        "inbox": lambda inbox: _plain(files.c.inbox) == escape(os.fsencode(inbox)),
        "min_confidence": lambda lowest: func.coalesce(files.c.confidence, -1.0) >= lowest,
        "max_confidence": lambda highest: func.coalesce(files.c.confidence, 2.0) <= highest,
        "name": lambda part: _plain(files.c.name).icontains(part, autoescape=True),
        "model": lambda model: _plain(files.c.model) == model,
        "corrected": lambda said: (_plain(files.c.corrected_to) != "") == said,
        "reason": lambda reason: _plain(files.c.reason) == reason,
    }
    if _by_reason(choice):
        del tests["reason"]
    return [*_met(choice, tests), *conditions(choice, *OF_FILES)]


def _plain(column: ColumnElement[Any]) -> ColumnElement[str]:
    return func.coalesce(type_coerce(column, Text), "")


def _met(choice: Choice, tests: dict[str, Callable[[Any], ColumnElement[bool]]]) -> list[ColumnElement[bool]]:
    wanted = {name: getattr(choice, name) for name in tests}
    return [tests[name](value) for name, value in wanted.items() if value is not None]


def all_of(choice: Choice) -> list[ColumnElement[bool]]:
    """Return all conditions of a choice."""
    return [*_base(choice), *hidden(choice)]


def _count(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], outcomes: Sequence[str]
) -> dict[str, int]:
    counted = select(files.c.outcome, func.count()).where(*conditions).group_by(files.c.outcome)
    found: dict[str | None, int] = dict(connection.execute(counted).all())
    return {outcome: found.get(outcome, 0) for outcome in outcomes}
