"""Record what people did by hand to the files of rows: moved, deleted, brought back, edited.

Nothing is moved here: the file is where it is, and its row follows. Each move is recorded as done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, insert, select, text, update

from db.connection.engine import writing
from db.schema.file_names import RawName
from db.schema.records import Identity
from db.schema.rows import in_pieces
from db.schema.tables import IS_PENDING, MoveKind, State, Via, files, moves


class PictureHeader(NamedTuple):
    """Width and height in pixels, and when the photo was taken, as in a row; None if unknown."""

    width: int | None
    height: int | None
    taken_at: str | None

    def is_of_same_photo(self, other: PictureHeader) -> bool:
        """Return whether both are surely of one photo, as after its tags were written or it was turned."""
        sides = {self.width, self.height} == {other.width, other.height}
        return sides and self.taken_at is not None and self.taken_at == other.taken_at


@dataclass(frozen=True, slots=True)
class HandMove:
    """What happened to the file of the row `file_id`, which had the `state` and the path `was`.

    `path` is its path now, the old one if it is gone. Without `keeps` it is in another folder: `outcome`,
    whose label, if it has one, is `label`. `sha256` is the new content of an edit, which may be moved too,
    and `header` is that of its picture, None if it is none: a label stays only if the photo is the same.
    `via` is what made the move.
    """

    file_id: int
    kind: Literal["move", "remove", "return", "edit"]
    state: State
    was: RawName
    path: RawName
    by: str
    keeps: bool = True
    outcome: str | None = None
    label: str | None = None
    identity: Identity | None = None
    sha256: str | None = None
    header: PictureHeader | None = None
    via: Via = "folder"


_KNOWN = (
    "id",
    "state",
    "path",
    "outcome",
    "corrected_to",
    "sha256",
    "prediction",
    "scores",
    "destination",
    "verdict",
    "filed_at",
    "width",
    "height",
    "taken_at",
)
_COLUMNS = tuple(files.c[name] for name in _KNOWN)
_IDENTITY = ("dev", "ino", "bytes", "mtime_ns")


def record(engine: Engine, hand_moves: Sequence[HandMove], at: datetime) -> set[int]:
    """Record moves in one transaction; return the ids of their rows.

    A row that is not as it was, or whose file a correction or undo is moving, is left alone. Raises
    DatabaseError.
    """
    done: set[int] = set()
    with writing(engine) as connection:
        rows = _rows(connection, [move.file_id for move in hand_moves])
        made: list[dict[str, Any]] = []
        for move in hand_moves:
            row = rows.get(move.file_id)
            if row is None or not _is_as_it_was(move, row):
                continue
            after = _after(move, row)
            made += _moves(move, row, after, at)
            _update(connection, move, row, after, at)
            done.add(move.file_id)
        if made:
            connection.execute(insert(moves), made)
    return done


def refresh(engine: Engine, seen: Sequence[tuple[int, RawName, Identity]]) -> None:
    """Record the identities of files whose content is as it was, as (id, path, identity)."""
    known = update(files).where(files.c.id == bindparam("row"), files.c.path == bindparam("at"))
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _IDENTITY}
    if rows := [
        {"row": id, "at": path}
        | {f"new_{name}": value for name, value in zip(_IDENTITY, identity, strict=True)}
        for id, path, identity in seen
    ]:
        with writing(engine) as connection:
            connection.execute(known.where(text("files.state = 'filed'")).values(**values), rows)


def _rows(connection: Connection, ids: Sequence[int]) -> dict[int, Any]:
    """Return the rows, locked, except those that a correction or undo is moving."""
    found = {
        row.id: row
        for part in in_pieces(ids)
        for row in connection.execute(
            select(*_COLUMNS).where(files.c.id.in_(part)).with_for_update(key_share=True)
        )
    }
    for part in in_pieces(ids):
        pending = select(moves.c.file_id).where(moves.c.file_id.in_(part), text(IS_PENDING))
        for id in connection.execute(pending).scalars():
            found.pop(id, None)
    return found


def _is_as_it_was(move: HandMove, row: Any) -> bool:
    if row.state != move.state:
        return False
    ended_or_lost = row.state in ("vanished", "decided")
    return bool((row.destination if ended_or_lost else row.path) == move.was)


def _outcome(row: Any) -> str | None:
    """Return the folder of a row; a file that left its folder before it was recorded there has a verdict."""
    outcome: str | None = row.verdict if row.state == "decided" else row.outcome
    return outcome


def _after(move: HandMove, row: Any) -> tuple[str | None, str | None]:
    """Return the outcome and the label that the row gets."""
    if move.kind == "remove":
        return None, row.corrected_to
    if not move.keeps:
        return move.outcome, move.label
    label = row.corrected_to if move.kind != "edit" or _is_same_photo(move, row) else None
    return (move.outcome if move.kind == "return" else _outcome(row)), label


def _is_same_photo(move: HandMove, row: Any) -> bool:
    before = PictureHeader(row.width, row.height, row.taken_at)
    return move.header is not None and before.is_of_same_photo(move.header)


def _moves(
    move: HandMove, row: Any, after: tuple[str | None, str | None], at: datetime
) -> list[dict[str, Any]]:
    """Return the rows of `moves`: two, if more than one thing happened."""
    moved: MoveKind = "follow" if move.keeps or move.label is None else "correct"
    first = {
        "file_id": move.file_id, "kind": moved if move.kind == "move" else move.kind, "source": move.was,
        "destination": move.path, "old_outcome": _outcome(row), "new_outcome": after[0],
        "old_corrected_to": row.corrected_to, "new_corrected_to": after[1], "by": move.by, "began_at": at,
        "done_at": at, "via": move.via, "old_sha256": None,
    }  # fmt: skip
    second = first | {"source": move.path, "old_outcome": after[0]}
    if move.kind == "edit":
        before = row.corrected_to if move.keeps else after[1]
        edit = second | {"old_corrected_to": before, "old_sha256": row.sha256}
        return [edit] if move.path == move.was else [first | {"kind": moved}, edit]
    if move.kind == "return" and row.corrected_to != after[1]:
        # The label of another folder is a move of its own, so that an undo takes only the label back.
        return [first | {"new_corrected_to": row.corrected_to}, second | {"kind": moved}]
    return [first]


def _update(
    connection: Connection, move: HandMove, row: Any, after: tuple[str | None, str | None], at: datetime
) -> None:
    values: dict[str, Any] = {"outcome": after[0], "corrected_to": after[1], "changed_at": at}
    if move.identity is not None:
        values |= dict(zip(_IDENTITY, move.identity, strict=True))
    if move.kind == "remove":
        # As for a row that ended: the index that counts confidences has no column for the state.
        values |= {"state": "removed", "removed_at": at, "confidence": None}
    else:
        values |= {"state": "filed", "path": move.path, "destination": move.path, "removed_at": None}
        values["filed_at"] = row.filed_at or at
    if move.kind == "return":
        values["confidence"] = (row.scores or {}).get(row.prediction)
    if move.kind == "edit":
        values |= {"sha256": move.sha256, "answer_key": None}  # its answer is not that of its content now
    reviewed = _reviewed(move, row.corrected_to, after[1], at)
    connection.execute(update(files).where(files.c.id == move.file_id).values(**values, **reviewed))


def _reviewed(move: HandMove, before: str | None, label: str | None, at: datetime) -> dict[str, Any]:
    """Return who judged the file last, where its folder says something else, or its label was of another."""
    if move.kind == "remove" or (move.keeps and label == before):
        return {}
    if label is None:
        return {"reviewed_by": None, "reviewed_at": None}
    return {"reviewed_by": move.by, "reviewed_at": at}
