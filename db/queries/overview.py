"""Counts over all files, and the history of one. Every function raises DatabaseError."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, func, select, text

from db.connection.engine import reading
from db.schema.file_names import RawName, can_stand
from db.schema.records import Entry, Move
from db.schema.rows import CONTENT_PATH, FILE_COLUMNS, MOVE_COLUMNS, entries_by, entry_of, in_pieces, move_of
from db.schema.tables import IS_FAILED, IS_FILED, files, moves

SAME_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """Number of files that failed for a reason, and the arrival of the last one."""

    reason: str | None
    count: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """The history of one file: its row, its moves (oldest first), and other files of the same content."""

    entry: Entry
    moves: tuple[Move, ...]
    same: tuple[Entry, ...]


def by_day(
    engine: Engine, days: Sequence[tuple[datetime, datetime]], outcomes: Sequence[str]
) -> list[dict[str, int]]:
    """Count by outcome the files with start <= seen_at < end, for each (start, end) of `days`."""
    with reading(engine) as connection:
        found = []
        for start, end in days:
            within = files.c.outcome.in_(outcomes), files.c.seen_at >= start, files.c.seen_at < end
            counted = select(files.c.outcome, func.count()).where(*within).group_by(files.c.outcome)
            by_outcome: dict[str, int] = dict(connection.execute(counted).all())
            found.append({outcome: by_outcome.get(outcome, 0) for outcome in outcomes})
    return found


def failures(engine: Engine) -> list[Failure]:
    """Count the files in failed/ by reason, the most frequent first."""
    of_reason = select(files.c.reason, func.count(), func.max(files.c.seen_at)).where(text(IS_FAILED))
    with reading(engine) as connection:
        found = [Failure(*row) for row in connection.execute(of_reason.group_by(files.c.reason))]
    return sorted(found, key=lambda failure: (-failure.count, failure.reason or ""))


def failed_paths(engine: Engine, reason: str, limit: int | None = None) -> list[RawName]:
    """Return the paths of the newest `limit` files that failed for `reason`."""
    if not can_stand(reason):
        return []
    of_reason = select(files.c.path).where(text(IS_FAILED), files.c.reason == reason)
    newest = of_reason.order_by(files.c.seen_at.desc(), files.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return [path for path in connection.execute(newest).scalars() if path is not None]


def failed_ids(engine: Engine, reason: str, limit: int | None = None) -> list[int]:
    """Return the ids of the newest `limit` files that failed for `reason`, of all workers."""
    if not can_stand(reason):
        return []
    of_reason = select(files.c.id).where(text(IS_FAILED), files.c.reason == reason)
    newest = of_reason.order_by(files.c.seen_at.desc(), files.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return list(connection.execute(newest).scalars())


def newest_paths(engine: Engine, limit: int) -> list[RawName]:
    """Return the paths of the `limit` photos that were classified and filed last, or of their originals."""
    classified = files.c.filed_at.is_not(None), files.c.prediction.is_not(None)
    filed = select(CONTENT_PATH).where(text(IS_FILED), *classified)
    newest = filed.order_by(files.c.filed_at.desc(), files.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return [path for path in connection.execute(newest).scalars() if path is not None]


def entries(engine: Engine, ids: Sequence[int]) -> dict[int, Entry]:
    """Return the rows of these files by id; those of unknown ids are left out."""
    with reading(engine) as connection:
        pieces = [entries_by(connection, files.c.id.in_(piece)) for piece in in_pieces(ids)]
    return {entry.id: entry for piece in pieces for entry in piece}


def histogram(engine: Engine, bins: int) -> list[int]:
    """Count the files by confidence, in `bins` of equal width from 0 to 1; the last includes 1."""
    edges = [number / bins for number in range(bins)]
    with reading(engine) as connection:
        return [
            connection.scalar(
                select(func.count()).where(
                    files.c.confidence >= low,
                    files.c.confidence < high if high < 1 else files.c.confidence <= 1,
                )
            )
            or 0
            for low, high in zip(edges, [*edges[1:], 1.0], strict=True)
        ]


def versions(engine: Engine, ids: Collection[int]) -> dict[int, int]:
    """Return the number of the last move of each of these files, 0 where there was none."""
    found = dict.fromkeys(ids, 0)
    last = select(moves.c.file_id, func.max(moves.c.id)).group_by(moves.c.file_id)
    with reading(engine) as connection:
        for part in in_pieces(sorted(found)):
            found |= dict(connection.execute(last.where(moves.c.file_id.in_(part))).all())
    return found


def move_counts(engine: Engine) -> dict[str, int]:
    """Count the moves that were done, by kind; an undone correction is a `correct` and an `undo`."""
    with reading(engine) as connection:
        done = select(moves.c.kind, func.count()).where(moves.c.done_at.is_not(None))
        return dict(connection.execute(done.group_by(moves.c.kind)).all())


def history(engine: Engine, id: int) -> History | None:
    """Return the history of the file `id`, None if it does not exist."""
    with reading(engine) as connection:
        entries = entries_by(connection, files.c.id == id)
        if not entries:
            return None
        of_file = select(*MOVE_COLUMNS).where(moves.c.file_id == id).order_by(moves.c.id)
        made = tuple(move_of(row) for row in connection.execute(of_file))
        sha256 = entries[0].sha256
        same = select(*FILE_COLUMNS).where(
            files.c.sha256 == sha256, files.c.id != id, files.c.state.not_in(("vanished", "removed"))
        )
        others = connection.execute(same.order_by(files.c.id).limit(SAME_SHOWN)).all() if sha256 else ()
        return History(entries[0], made, tuple(entry_of(row) for row in others))
