"""Load what a backfill has classified: a part in one transaction, with the mark that it is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    and_,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    update,
)

from db.connection.engine import reading, writing
from db.ledger.claims import GONE, claim
from db.ledger.move_records import readable
from db.ledger.statements import LAST_MOVE, RELEVANT
from db.schema.columns import UtcTime
from db.schema.file_names import RawName
from db.schema.records import ClaimedFile, FileDecision, SettledFile
from db.schema.rows import in_pieces
from db.schema.tables import IMPORTED, IS_BELOW, files
from db.schema.worker_tables import backfill_loads

BEGUN, FILED = " begun", " filed"
"""What a mark of a part that is filed has: until each of its photos is taken, and from then on."""


class LoadMark(NamedTuple):
    """A part of a run; `run` is the SHA-256 of its `run.json`, and BEGUN or FILED if its photos are filed."""

    run: str
    part: int


class Noted(NamedTuple):
    """A photo that lies where it was found, at `path`, and the decision on it.

    `path` is absolute, or a URL. `first` is the place, in the same list, of the first photo of the same
    content; None if this is the first. The decision's `duplicate_of` is a row that was there before.
    """

    file: SettledFile
    path: RawName
    decision: FileDecision
    first: int | None = None


class Known(NamedTuple):
    """Rows of one content: the id of the first, whether it `is_ordinary`, and the last correction.

    It is not ordinary if it failed. The id is None if there is only a correction.
    """

    id: int | None = None
    is_ordinary: bool = False
    label: str | None = None


_MARK = text(
    "INSERT INTO backfill_loads (run, part, rows, loaded_at) VALUES (:run, :part, :rows, :at) "
    "ON CONFLICT DO NOTHING"
).bindparams(bindparam("at", type_=UtcTime()))

_UNMARK = text("DELETE FROM backfill_loads WHERE run = :run AND part = :part")

_FOLDER = func.coalesce(files.c.outcome, files.c.verdict)
_OF_CONTENT = files.c.sha256.in_(bindparam("sha256s", expanding=True))
_FIRST = (
    select(files.c.sha256, func.min(case((_FOLDER != "failed", files.c.id))), func.min(files.c.id))
    .where(
        _OF_CONTENT,
        files.c.state.in_(("decided", "filed", "noted")),
        _FOLDER != "duplicates",
        func.coalesce(files.c.reason, "") != IMPORTED,
    )
    .group_by(files.c.sha256)
)
_LABELS = (
    select(files.c.sha256, files.c.corrected_to)
    .where(_OF_CONTENT, RELEVANT, files.c.corrected_to.is_not(None))
    .order_by(LAST_MOVE)
)


def known(engine: Engine, sha256s: Sequence[str]) -> dict[str, Known]:
    """Return what the rows of each content say, those in no row left out. Raises DatabaseError.

    A duplicate that is held, and a file that only `doctor --repair` recorded, is the first of none.
    """
    found: dict[str, Known] = {}
    with reading(engine) as connection:
        for part in in_pieces(sha256s):
            for sha256, ordinary, first in connection.execute(_FIRST, {"sha256s": part}):
                found[sha256] = Known(first if ordinary is None else ordinary, ordinary is not None)
            for sha256, label in connection.execute(_LABELS, {"sha256s": part}):
                found[sha256] = found.get(sha256, Known())._replace(label=label)
    return found


def loaded(engine: Engine, run: str) -> set[int]:
    """Return the parts of a run that are loaded. Raises DatabaseError."""
    with reading(engine) as connection:
        parts = select(backfill_loads.c.part).where(backfill_loads.c.run == run)
        return set(connection.execute(parts).scalars())


def note(engine: Engine, mark: LoadMark, noted: Sequence[Noted], at: datetime) -> bool:
    """Record photos as noted, in the order given; return False if their part was loaded before.

    Raises DatabaseError.
    """
    with writing(engine) as connection:
        if not _mark(connection, mark, len(noted), at):
            return False
        ids = _new_ids(connection, len(noted))
        rows = [_row(one, id, ids, at) for one, id in zip(noted, ids, strict=True)]
        if rows:
            _insert(connection, rows)
    return True


def unnote(engine: Engine, mark: LoadMark, inbox: str, sources: Sequence[RawName], at: datetime) -> None:
    """End the rows of a part if it is noted, and remove its mark. Raises DatabaseError."""
    with writing(engine) as connection:
        if connection.execute(_UNMARK, mark._asdict()).rowcount:
            for of_sources in _rows_of(inbox, sources):
                # As an expression, so that SQLite does not search all noted rows for those of the part.
                noted = update(files).where(of_sources, func.coalesce(files.c.state, "") == "noted")
                connection.execute(noted.values(**GONE, outcome=None, changed_at=at))  # it is counted by that


def claim_part(
    engine: Engine,
    spool: RawName,
    mark: LoadMark,
    settled: Sequence[SettledFile],
    at: datetime,
    *,
    again: bool,
) -> list[ClaimedFile] | None:
    """Record files of a part as claimed; return their rows in order. `mark` has BEGUN.

    Returns None if the part was begun before, unless it is `again`. Raises DatabaseError.
    """
    with writing(engine) as connection:
        if not again and not _mark(connection, mark, len(settled), at):
            return None
        return claim(connection, spool, settled, at) if settled else []


def taken(engine: Engine, mark: LoadMark, inbox: str, sources: Sequence[RawName]) -> set[RawName]:
    """Return the files of a part that have rows since it was begun. Raises DatabaseError."""
    since = select(backfill_loads.c.loaded_at).filter_by(**mark._asdict()).scalar_subquery()
    found: set[RawName] = set()
    with reading(engine) as connection:
        for of_sources in _rows_of(inbox, sources):
            rows = select(files.c.source).where(
                of_sources, files.c.claimed_at >= since, files.c.state.not_in(("vanished", "noted"))
            )
            found |= set(connection.execute(rows).scalars())
    return found


def finish_part(engine: Engine, mark: LoadMark) -> None:
    """Mark a part that was begun as filed: each of its photos is taken, or gone. Raises DatabaseError."""
    filed = mark.run.removesuffix(BEGUN) + FILED
    with writing(engine) as connection:
        connection.execute(update(backfill_loads).filter_by(**mark._asdict()).values(run=filed))


def _rows_of(inbox: str, sources: Sequence[RawName]) -> Iterator[ColumnElement[bool]]:
    """Yield conditions on rows, each of which an index serves."""
    below = [source for source in sources if b"/" in source]
    for piece in in_pieces(below):
        yield and_(text(IS_BELOW), files.c.source.in_(piece), files.c.inbox == inbox)
    for piece in in_pieces(sorted({*sources} - {*below})):
        yield and_(files.c.name.in_(piece), files.c.source == files.c.name, files.c.inbox == inbox)


def _mark(connection: Connection, mark: LoadMark, rows: int, at: datetime) -> bool:
    """Mark a part as loaded; return whether it was not. Another process waits for the transaction."""
    return connection.execute(_MARK, {**mark._asdict(), "rows": rows, "at": at}).rowcount == 1


def _new_ids(connection: Connection, count: int) -> Sequence[int]:
    """Return ids that no row has or had; they are known before the rows, which refer to each other."""
    if connection.dialect.name == "sqlite":
        last = connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'files'")) or 0
        return range(last + 1, last + 1 + count)
    next_ids = text("SELECT nextval('files_id_seq') FROM generate_series(1, :count)")
    return sorted(connection.execute(next_ids, {"count": count}).scalars())


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if connection.dialect.name == "sqlite":
        # RETURNING lets SQLAlchemy send many rows in one statement. After each statement, SQLite writes its
        # index of names to the file, which takes six times as long as the rows.
        connection.execute(insert(files).returning(files.c.id), rows).all()
        return
    # One value for all rows, since binding each of theirs takes several times as long as storing them.
    columns = ", ".join(rows[0])
    from_json = f"SELECT {columns} FROM json_populate_recordset(NULL::files, CAST(:rows AS json))"  # noqa: S608
    stored = {"rows": json.dumps([_stored(row, connection.dialect) for row in rows])}
    connection.execute(text(f"INSERT INTO files ({columns}) {from_json}"), stored)


def _stored(row: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else _STORED[name](value, dialect)
        for name, value in row.items()
    }


def _as_it_is(value: Any, _: Dialect) -> Any:
    return value


_STORED: dict[str, Callable[[Any, Dialect], Any]] = {
    column.name: getattr(column.type, "process_bind_param", _as_it_is) for column in files.columns
}
"""What makes of a value what its column has, as JSON can have it."""


def _row(noted: Noted, id: int, ids: Sequence[int], at: datetime) -> dict[str, Any]:
    file, decision = noted.file, noted.decision
    first = decision.duplicate_of if noted.first is None else ids[noted.first]
    return {
        "id": id, "spool_name": "noted", "state": "noted", "inbox": file.inbox, "source": file.source,
        "name": os.path.basename(file.source), "path": noted.path, "verdict": decision.outcome,
        "outcome": decision.outcome, "prediction": decision.prediction, "confidence": decision.confidence,
        "reason": decision.reason, "detail": decision.detail, "scores": decision.scores, "dev": file.dev,
        "ino": file.ino, "bytes": file.bytes, "mtime_ns": file.mtime_ns, "sha256": decision.sha256,
        "format": decision.format, "width": decision.width, "height": decision.height,
        "taken_at": decision.taken_at, "taken_from": decision.taken_from, "model": decision.model,
        "model_sha256": decision.model_sha256, "answer_key": decision.answer_key,
        "brightness": decision.brightness, "duplicate_of": first, "attempts": 0, "seen_at": file.seen_at,
        "claimed_at": file.seen_at, "decided_at": file.seen_at, "changed_at": at,
        "companions": readable(file.companions),
    }  # fmt: skip
