"""Rows that may be forgotten, since their photo is gone and nothing depends on them; and failed files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, and_, delete, func, select, text

from db.connection.engine import reading, writing
from db.schema.records import Entry
from db.schema.rows import FILE_COLUMNS, entry_of, in_pieces
from db.schema.tables import IMPORTED, IS_FAILED, IS_FILED, IS_PENDING, files, moves, reports, spot_checks
from db.schema.worker_tables import IS_OPEN, requests

_COPIES, _OWN = files.alias("copies"), files.alias("own")


def last_report_at(engine: Engine) -> datetime | None:
    """Return when the newest report was written: what changed before is in the reports. None without one."""
    with reading(engine) as connection:
        found: datetime | None = connection.scalar(select(func.max(reports.c.written_at)))
        return found


def forgettable(engine: Engine, worker: int, before: datetime, limit: int) -> list[int]:
    """Return the ids of up to `limit` rows to forget, whose photo was gone before a moment, oldest first.

    They are of one worker. `engine` sees the files of all, since copies on other machines keep a row.
    """
    chosen = select(files.c.id).where(*_may_go(worker, before)).order_by(files.c.id).limit(limit)
    with reading(engine) as connection:
        return list(connection.execute(chosen).scalars())


def forget(engine: Engine, worker: int, ids: Sequence[int], before: datetime) -> list[int]:
    """Delete rows, their moves and the requests that were carried out in one transaction; return which.

    A row that may no longer go stays. `engine` sees the files of all.
    """
    done: list[int] = []
    with writing(engine) as connection:
        for part in in_pieces(ids):
            going = select(files.c.id).where(files.c.id.in_(part), *_may_go(worker, before))
            chosen = list(connection.execute(going.with_for_update()).scalars())
            # Moves refer to each other only within one file.
            connection.execute(delete(moves).where(moves.c.file_id.in_(chosen), moves.c.undoes.is_not(None)))
            connection.execute(delete(moves).where(moves.c.file_id.in_(chosen)))
            connection.execute(delete(requests).where(requests.c.file_id.in_(chosen)))
            connection.execute(delete(files).where(files.c.id.in_(chosen)))
            done += chosen
    return done


def failed_before(engine: Engine, before: datetime, after: int, limit: int) -> list[Entry]:
    """Return up to `limit` failed files after an id that Pawsort put into failed/ before a moment.

    No person has judged, moved or put one there, and none has a move.
    """
    moved = select(moves.c.id).where(moves.c.file_id == files.c.id).exists()
    untouched = and_(
        files.c.verdict == "failed", files.c.corrected_to.is_(None), files.c.reviewed_at.is_(None),
        files.c.reason.is_not(None), files.c.reason != IMPORTED, ~moved,
    )  # fmt: skip
    old = text(f"{IS_FAILED} AND {IS_FILED}"), files.c.filed_at < before, files.c.id > after, untouched
    with reading(engine) as connection:
        found = connection.execute(select(*FILE_COLUMNS).where(*old).order_by(files.c.id).limit(limit))
        return [entry_of(row) for row in found]


def _may_go(worker: int, before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a row that nothing depends on.

    A correction teaches and judges copies that come later; an original of which a copy or link was made would
    be taken again; a row may be the first of copies, or a spot check, or its owner was asked for something.
    The newest row of the worker stays, by whose id it sees whether the database is the one that it was.
    Photos that were put back keep their rows: these keep them from being taken again.
    """
    newest = select(func.max(_OWN.c.id)).where(_OWN.c.worker_id == worker).scalar_subquery()
    same = select(_COPIES.c.id).where(_COPIES.c.duplicate_of == files.c.id).exists()
    checked = select(spot_checks.c.id).where(spot_checks.c.file_id == files.c.id).exists()
    asked = (
        select(requests.c.id).where(requests.c.file_id == files.c.id, text(f"requests.{IS_OPEN}")).exists()
    )
    moving = select(moves.c.id).where(moves.c.file_id == files.c.id, text(f"moves.{IS_PENDING}")).exists()
    return (
        files.c.worker_id == worker, files.c.state.in_(("vanished", "removed")), files.c.changed_at < before,
        files.c.corrected_to.is_(None), files.c.original.is_(None),
        ~same, ~checked, ~asked, ~moving, files.c.id < newest,
    )  # fmt: skip
