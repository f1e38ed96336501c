"""Queries of results and reports.

Rows are read in short transactions of a few thousand, by ids that were looked up first, so that a slow reader
of a million rows does not prevent SQLite from reusing its -wal. Every function raises DatabaseError.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Integer,
    Select,
    func,
    literal,
    select,
    text,
    tuple_,
)

from db.connection.engine import reading
from db.queries.search.folder_search import OF_RESULTS, WantedFolder, conditions, rare_ids
from db.queries.search.name_search import ids_by_name
from db.schema.columns import UtcTime
from db.schema.file_names import RawName, can_stand, escape
from db.schema.records import Entry
from db.schema.results_view import results as view
from db.schema.rows import entries_by, in_pieces
from db.schema.tables import IS_FILED, IS_UNDONE, IS_UNFINISHED, files, reports

WAITING = "waiting"
"""Stands for the outcome of a file that is not yet in a folder."""

CHUNK_ROWS = 2_000
"""Rows read in one transaction."""

COMMON = 20_000
"""If this many rows match, reading the newest rows is faster than looking up and sorting."""

RESULT_COLUMNS = tuple(column.name for column in view.columns)

ColumnKind = Literal["time", "real", "integer", "json", "text"]

_KINDS: dict[type[Any], ColumnKind] = {UtcTime: "time", Double: "real", Integer: "integer", JSON: "json"}


def result_kinds() -> dict[str, ColumnKind]:
    """Return the kind of value of each column of `results`, in their order."""
    return {
        column.name: next((kind for type_, kind in _KINDS.items() if isinstance(column.type, type_)), "text")
        for column in view.columns
    }


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Conditions for rows of `results`; all must hold, None is no condition.

    `outcome` "waiting" means not in a folder yet, "removed" deleted by a person; `name` is part of the file's
    name, case-insensitive (in SQLite only for ASCII); confidences are 0 to 1, inclusive; `since` <= seen_at <
    `until`, both aware; `before` is the id of a row, after which the wanted rows come in the order; `worker`
    is a name; `reviewed`: a person judged the photo; `taken_since` <= taken_at < `taken_until`, both naive.
    """

    outcome: str | None = None
    prediction: str | None = None
    inbox: str | None = None
    name: str | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    before: int | None = None
    reviewed: bool | None = None
    folder: WantedFolder | None = None
    taken_since: datetime | None = None
    taken_until: datetime | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A day whose reports were written, the time, and the number of files that were waiting then."""

    day: date
    written_at: datetime
    waiting: int


def results(engine: Engine, filters: ResultFilter = ResultFilter()) -> Iterator[dict[str, Any]]:
    """Yield the rows of `results` that pass, the newest arrival first.

    Each is a dict in the view's order of columns: names in their readable form, times aware and in UTC,
    `scores` a dict.
    """
    texts = (filters.name, filters.outcome, filters.prediction, filters.worker)
    paths = (filters.inbox, filters.folder and filters.folder.path)
    if not (all(map(can_stand, texts)) and all(can_stand(path, path=True) for path in paths)):
        return
    newest = view.c.seen_at.desc(), view.c.id.desc()
    with reading(engine) as connection:
        wanted = _conditions(connection, filters)
    chosen = select(view.c.id).where(*wanted).order_by(*newest).limit(filters.limit)
    for rows in _chunks(engine, chosen, *newest):
        yield from rows


def result(engine: Engine, id: int) -> dict[str, Any] | None:
    """Return the row of `results` with this id, as `results` yields it; None if there is none."""
    with reading(engine) as connection:
        row = connection.execute(select(view).where(view.c.id == id)).one_or_none()
    return None if row is None else dict(row._mapping)


def counts(engine: Engine) -> dict[str, int]:
    """Count the rows of `results` by outcome; those without one as "waiting", or "undone" if there are.

    Files that people deleted are not counted.
    """
    # Of the table, because the view's condition on the state would have each row looked up.
    has_one = files.c.outcome.is_not(None)
    counted = select(files.c.outcome, func.count()).where(has_one).group_by(files.c.outcome)
    with reading(engine) as connection:
        by_outcome: dict[str, int] = dict(connection.execute(counted.order_by(files.c.outcome)).all())
        waiting, undone = (_count(connection, condition) for condition in (IS_UNFINISHED, IS_UNDONE))
    return {**by_outcome, **({"undone": undone} if undone else {}), WAITING: waiting}


def states(engine: Engine) -> dict[str, int]:
    """Count the files by state; states that none is in are left out."""
    counted = select(files.c.state, func.count()).group_by(files.c.state).order_by(files.c.state)
    with reading(engine) as connection:
        return dict(connection.execute(counted).all())


def last_filed(engine: Engine) -> dict[str, Any] | None:
    """Return the row of `results` that was filed last, None if there is none."""
    filed = select(view).where(view.c.filed_at.is_not(None), view.c.state == "filed")
    with reading(engine) as connection:
        row = connection.execute(filed.order_by(view.c.filed_at.desc(), view.c.id.desc()).limit(1)).first()
    return None if row is None else dict(row._mapping)


def filed_at_paths(engine: Engine, paths: Collection[RawName]) -> dict[RawName, Entry]:
    """Return, by path, the filed files whose absolute path is among `paths`."""
    with reading(engine) as connection:
        found = [
            entry
            for part in in_pieces(sorted(set(paths)))
            for entry in entries_by(connection, files.c.path.in_(part), text(IS_FILED))
        ]
    return {entry.path: entry for entry in found if entry.path is not None}


def undone_at(engine: Engine, path: RawName) -> Entry | None:
    """Return the newest file that an undo has put back to this absolute path, None if there is none."""
    with reading(engine) as connection:
        found = entries_by(connection, files.c.path == path, text(IS_UNDONE))
    return found[-1] if found else None


def arrived_as(engine: Engine, inbox: str | os.PathLike[str], names: Collection[RawName]) -> Entry | None:
    """Return the newest file that came to the top of `inbox` under one of `names`, None if none did."""
    with reading(engine) as connection:
        found = entries_by(
            connection,
            files.c.name.in_(names),
            files.c.source == files.c.name,
            files.c.inbox == os.fspath(inbox),
            files.c.state != "vanished",
        )
    return found[-1] if found else None


def first_seen_at(engine: Engine) -> datetime | None:
    """Return when the first file arrived."""
    with reading(engine) as connection:
        first: datetime | None = connection.scalar(select(func.min(view.c.seen_at)))
    return first


def report_rows(
    engine: Engine,
    start: datetime,
    end: datetime,
    chunk: int = CHUNK_ROWS,
    columns: Sequence[str] = RESULT_COLUMNS,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of `results` with start <= seen_at < end, oldest first, in lists of up to `chunk`."""
    chosen = select(view.c.id).where(view.c.seen_at >= start, view.c.seen_at < end).order_by(view.c.id)
    return _chunks(engine, chosen, view.c.id, chunk=chunk, columns=columns)


def written_reports(engine: Engine) -> list[Report]:
    """Return the days whose reports were written, oldest first."""
    with reading(engine) as connection:
        return [Report(*row) for row in connection.execute(select(reports).order_by(reports.c.day))]


def changed_since(engine: Engine, start: datetime, end: datetime, moment: datetime) -> bool:
    """Return whether a file with start <= seen_at < end changed its state or was moved after `moment`."""
    with reading(engine) as connection:
        within = files.c.seen_at >= start, files.c.seen_at < end
        last = connection.scalar(select(func.max(files.c.changed_at)).where(*within))
    return last is not None and last > moment


def _count(connection: Connection, condition: str) -> int:
    return connection.scalar(select(func.count()).select_from(files).where(text(condition))) or 0


def _outcome_is(outcome: str) -> ColumnElement[bool]:
    without = ("undone", "removed")
    if outcome not in (WAITING, *without):
        return view.c.outcome == outcome
    others = view.c.state.not_in(without)
    return view.c.outcome.is_(None) & (others if outcome == WAITING else view.c.state == outcome)


def _behind(id: int) -> ColumnElement[bool]:
    """Select what follows a row; not by its id alone, since the last to be claimed may have come first."""
    place = select(files.c.seen_at).where(files.c.id == id).scalar_subquery()
    return tuple_(view.c.seen_at, view.c.id) < tuple_(place, literal(id))


_TESTS: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "outcome": _outcome_is,
    "prediction": lambda prediction: view.c.prediction == prediction,
    "inbox": lambda inbox: view.c.inbox == escape(os.fsencode(inbox)),
    "name": lambda part: view.c.name.icontains(part, autoescape=True),
    "min_confidence": lambda lowest: view.c.confidence >= lowest,
    "max_confidence": lambda highest: view.c.confidence <= highest,
    "since": lambda start: view.c.seen_at >= start,
    "until": lambda end: view.c.seen_at < end,
    "before": _behind,
    "reviewed": lambda said: view.c.reviewed_at.is_not(None) if said else view.c.reviewed_at.is_(None),
}

# A sum prevents the use of an index.
_IN_ORDER: dict[str, Callable[[Any], ColumnElement[bool]]] = {
    "min_confidence": lambda lowest: view.c.confidence + 0.0 >= lowest,
    "max_confidence": lambda highest: view.c.confidence + 0.0 <= highest,
}


def _conditions(connection: Connection, filters: ResultFilter) -> list[ColumnElement[bool]]:
    """Return conditions in a form that uses an index only for conditions that few rows meet."""
    tests = _TESTS | (_IN_ORDER if _is_common(connection, filters) else {})
    wanted = {name: getattr(filters, name) for name in tests}
    found = [tests[name](value) for name, value in wanted.items() if value is not None]
    found += conditions(filters, *(view.c[name] for name in OF_RESULTS))
    by_name = ids_by_name(connection, filters.name) if filters.name else None
    rare = [*rare_ids(connection, filters), *([] if by_name is None else [by_name])]
    return [*found, *(view.c.id.in_(ids) for ids in rare)]


def _is_common(connection: Connection, filters: ResultFilter) -> bool:
    """Return whether so many rows match the confidence that sorting them is slower than scanning."""
    bounds = []
    if filters.min_confidence is not None:
        bounds.append(files.c.confidence >= filters.min_confidence)
    if filters.max_confidence is not None:
        bounds.append(files.c.confidence <= filters.max_confidence)
    some = select(files.c.id).where(*bounds).limit(COMMON).subquery()
    return bool(bounds) and connection.scalar(select(func.count()).select_from(some)) == COMMON


def _chunks(
    engine: Engine,
    chosen: Select[Any],
    *order: ColumnElement[Any],
    chunk: int = CHUNK_ROWS,
    columns: Sequence[str] = RESULT_COLUMNS,
) -> Iterator[list[dict[str, Any]]]:
    wanted = select(*(view.c[name] for name in columns)).order_by(*order)
    with reading(engine) as connection:
        ids: array[int] = array("q", connection.execute(chosen).scalars())
    for start in range(0, len(ids), chunk):
        part = ids[start : start + chunk].tolist()
        with reading(engine) as connection:
            rows = connection.execute(wanted.where(view.c.id.in_(part))).all()
        yield [dict(row._mapping) for row in rows]
