"""Corrections and undos: moves of filed files, recorded before the rename and completed after it.

    begin_move, rename, make the rename durable, finish_move

`pending_moves` returns moves that were begun and not finished; the caller checks where the file lies and
finishes or abandons each.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, insert, select, text, update

from db.connection.engine import reading, writing
from db.connection.errors import LedgerError
from db.connection.postgres import owner_of
from db.schema.file_names import RawName, escape
from db.schema.records import Action, Entry, Identity, Move, SettledFile
from db.schema.rows import FILE_COLUMNS, MOVE_COLUMNS, entries_by, entry_of, in_pieces, move_of
from db.schema.tables import IS_FILED, IS_PENDING, IS_UNDONE, MoveKind, Via, files, moves

UNDOABLE: tuple[MoveKind, ...] = ("correct", "follow")
"""Kinds of moves that an undo reverts; a file that was deleted, brought back or edited stays so."""


class MoveBook:
    """The moves of filed files in the database of `engine`, as `correct` and `undo` record them.

    `owner` is the worker whose files the engine has.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.owner = owner_of(engine)
        self._some_elsewhere = True

    def begin_move(
        self,
        file_id: int,
        kind: MoveKind,
        destination: RawName,
        new_outcome: str | None,
        new_corrected_to: str | None,
        by: str,
        at: datetime,
        undoes: int | None = None,
        via: Via | None = None,
    ) -> Move:
        """Record that a filed file is about to be renamed to `destination` (absolute).

        `undoes` is the correction that an undo reverts; without one it reverts the filing, and has no new
        outcome. `via` is how it was asked for. Raises LedgerError if the file is not filed, or another move
        of it is under way.
        """
        values = {
            "file_id": file_id, "kind": kind, "destination": destination, "new_outcome": new_outcome,
            "new_corrected_to": new_corrected_to, "undoes": undoes, "by": by, "began_at": at,
            "via": via,
        }  # fmt: skip
        with writing(self._engine) as connection:
            values |= _as_it_is(connection, file_id)
            new = insert(moves).values(values).returning(*MOVE_COLUMNS)
            return move_of(connection.execute(new).one())

    def finish_move(self, move_id: int, at: datetime, identity: Identity | None = None) -> None:
        """Record that the rename of a move is durable, and update the file's row.

        `identity` is the new identity of a file that an undo put into its inbox by copying it from another
        file system; None where it is the one that was claimed.
        """
        with writing(self._engine) as connection:
            pending = update(moves).where(moves.c.id == move_id, text(IS_PENDING)).values(done_at=at)
            done = connection.execute(pending.returning(*MOVE_COLUMNS)).one_or_none()
            if done is None:
                raise LedgerError(f"Move {move_id} is not under way; nothing was changed.")
            move = move_of(done)
            values = (
                _moved(move) | _reviewed(connection, move, at) | _identified(identity) | {"changed_at": at}
            )
            connection.execute(update(files).where(files.c.id == done.file_id).values(**values))

    def abandon_move(self, move_id: int) -> None:
        """Delete a move whose rename did not happen."""
        with writing(self._engine) as connection:
            if not connection.execute(delete(moves).where(moves.c.id == move_id, text(IS_PENDING))).rowcount:
                raise LedgerError(f"Move {move_id} is not under way; nothing was changed.")

    def arrived_as(
        self, inbox: str, folder: RawName, names: Sequence[RawName], beginnings: Sequence[RawName]
    ) -> list[Entry]:
        """Return the files that arrived in a folder of an inbox and are still known, oldest first.

        Their name is one of `names`, or begins with one of `beginnings`. `folder` is relative to the inbox
        and ends in a slash, or is empty.
        """
        begins = [
            and_(files.c.name >= part, files.c.name < part + b"\xf4\x8f\xbf\xbf") for part in beginnings
        ]
        named = [files.c.name.in_(part) for part in in_pieces(names)]
        known = files.c.state.not_in(("vanished", "removed", "noted")), files.c.inbox == inbox
        with reading(self._engine) as connection:
            found = [
                entry
                for condition in (*named, *begins)
                for entry in entries_by(connection, condition, *known)
                if entry.source == folder + entry.name
            ]
        return sorted(found, key=lambda entry: entry.id)

    def set_companions(self, file_id: int, names: Collection[RawName]) -> None:
        """Record the names, as they arrived, of the files that lie beside a photo from now on."""
        with writing(self._engine) as connection:
            of_file = update(files).where(files.c.id == file_id)
            connection.execute(of_file.values(companions=readable(names)))

    def pending_moves(self) -> list[Move]:
        """Return the moves that were begun and neither finished nor abandoned, oldest first."""
        with reading(self._engine) as connection:
            found = connection.execute(select(*MOVE_COLUMNS).where(text(IS_PENDING)).order_by(moves.c.id))
            return [move_of(row) for row in found]

    def put_back_elsewhere(
        self, seen: Mapping[RawName, SettledFile], inboxes: Collection[str]
    ) -> dict[RawName, RawName]:
        """Return which of `seen`, by path, an undo has put back before their inbox was moved.

        Each has the path that its row names.

        Such a file has the same path in its inbox, size and mtime, and the inbox of its row is not among
        `inboxes`. The caller checks that it is not at the old path too.
        """
        if (
            not self._some_elsewhere
        ):  # none at the first call, so none later: new ones have their paths of now
            return {}
        gone = text(IS_UNDONE), files.c.inbox.not_in(sorted(inboxes))
        with reading(self._engine) as connection:
            self._some_elsewhere = connection.scalar(select(files.c.id).where(*gone).limit(1)) is not None
            alike = select(*FILE_COLUMNS).where(
                *gone, files.c.bytes.in_({file.bytes for file in seen.values()})
            )
            rows = [entry_of(row) for row in connection.execute(alike)]
        at: dict[RawName, list[Entry]] = {}
        for entry in rows:
            at.setdefault(_in_inbox(entry), []).append(entry)
        return {
            path: entry.path
            for path, file in seen.items()
            for entry in at.get(file.source, ())
            if entry.path is not None and entry.looks_like(file.bytes, file.mtime_ns)
        }

    def moves(self, file_id: int) -> list[Move]:
        """Return all moves of a file, oldest first."""
        with reading(self._engine) as connection:
            of_file = select(*MOVE_COLUMNS).where(moves.c.file_id == file_id).order_by(moves.c.id)
            return [move_of(row) for row in connection.execute(of_file)]

    def last_actions(self, count: int) -> list[Action]:
        """Return the last `count` filings and corrections that still stand, newest first."""
        with reading(self._engine) as connection:
            return _actions(connection, count)[:count]

    def actions_since(self, moment: datetime) -> list[Action]:
        """Return the filings and corrections made at `moment` or later that still stand, newest first."""
        with reading(self._engine) as connection:
            return _actions(connection, None, files.c.filed_at >= moment, moves.c.done_at >= moment)

    def actions_of(self, file_ids: Collection[int]) -> list[Action]:
        """Return the filing and the corrections of these files that still stand, newest first."""
        with reading(self._engine) as connection:
            found = [
                action
                for part in in_pieces(sorted(file_ids))
                for action in _actions(connection, None, files.c.id.in_(part), files.c.id.in_(part))
            ]
        return sorted(found, key=_newest, reverse=True)


def readable(companions: Collection[RawName]) -> list[str] | None:
    """Return names of companions as the column has them."""
    return [escape(name) for name in companions] or None


def _as_it_is(connection: Connection, file_id: int) -> dict[str, Any]:
    """Return the columns of a file that a move keeps; raise LedgerError if it may not begin."""
    columns = files.c.path, files.c.outcome, files.c.corrected_to
    # The lock matters where rows are locked one by one; in SQLite the transaction locks the whole file.
    # A request of another machine refers to the row, and may do so meanwhile.
    filed = select(*columns).where(files.c.id == file_id, text(IS_FILED)).with_for_update(key_share=True)
    row = connection.execute(filed).one_or_none()
    if row is None:
        raise LedgerError(f"File {file_id} is not filed, so it cannot be moved.")
    other = connection.scalar(select(moves.c.id).where(moves.c.file_id == file_id, text(IS_PENDING)))
    if other is not None:
        raise LedgerError(
            f"File {file_id} is being moved by another command (move {other}). Try again later."
        )
    return {"source": row.path, "old_outcome": row.outcome, "old_corrected_to": row.corrected_to}


def _in_inbox(entry: Entry) -> RawName:
    """Return the path of a file in its inbox; the one that it came with if it was put into another."""
    inbox, path = os.path.join(os.fsencode(entry.inbox), b""), entry.path or b""
    return path[len(inbox) :] if path.startswith(inbox) else entry.source


def _moved(move: Move) -> dict[str, Any]:
    there = {"path": move.destination, "outcome": move.new_outcome, "corrected_to": move.new_corrected_to}
    if move.kind == "undo" and move.undoes is None:
        return {**there, "state": "undone"}
    return {**there, "destination": move.destination}


def _reviewed(connection: Connection, move: Move, at: datetime) -> dict[str, Any]:
    """Return who judged the file last and when, as it is once `move` is done; nothing if it stays."""
    if move.kind == "correct" and move.new_corrected_to is not None:
        return {"reviewed_by": move.by, "reviewed_at": at}
    if move.kind != "undo" or move.undoes is None:
        return {}
    undo = moves.alias()
    undone = select(undo.c.id).where(undo.c.undoes == moves.c.id, undo.c.done_at.is_not(None)).exists()
    judged = moves.c.file_id == move.file_id, moves.c.kind == "correct", moves.c.done_at.is_not(None), ~undone
    last = select(moves.c.by, moves.c.done_at).where(*judged, moves.c.new_corrected_to.is_not(None))
    found = connection.execute(last.order_by(moves.c.id.desc()).limit(1)).one_or_none()
    said = found if found and move.new_corrected_to is not None else (None, None)
    return dict(zip(("reviewed_by", "reviewed_at"), said, strict=True))


def _identified(identity: Identity | None) -> dict[str, int]:
    return {} if identity is None else dict(zip(("dev", "ino", "bytes", "mtime_ns"), identity, strict=True))


def _actions(
    connection: Connection,
    limit: int | None,
    filed: ColumnElement[bool] | None = None,
    moved: ColumnElement[bool] | None = None,
) -> list[Action]:
    filings = select(*FILE_COLUMNS).where(text("files.state = 'filed'"), files.c.filed_at.is_not(None))
    if filed is not None:
        filings = filings.where(filed)
    newest = filings.order_by(files.c.filed_at.desc(), files.c.id.desc()).limit(limit)
    found = [entry_of(row) for row in connection.execute(newest)]
    actions = [Action("file", entry, None, entry.filed_at) for entry in found if entry.filed_at]
    return sorted([*actions, *_corrections(connection, limit, moved)], key=_newest, reverse=True)


def _corrections(
    connection: Connection, limit: int | None, moved: ColumnElement[bool] | None
) -> list[Action]:
    undo = moves.alias()
    undone = select(undo.c.id).where(undo.c.undoes == moves.c.id, undo.c.done_at.is_not(None)).exists()
    standing = (
        select(*MOVE_COLUMNS, *FILE_COLUMNS)
        .join_from(moves, files, moves.c.file_id == files.c.id)
        .where(moves.c.kind.in_(UNDOABLE), moves.c.done_at.is_not(None), files.c.state == "filed", ~undone)
    )
    if moved is not None:
        standing = standing.where(moved)
    newest = standing.order_by(moves.c.done_at.desc(), moves.c.id.desc()).limit(limit)
    return [_correction(row) for row in connection.execute(newest)]


def _correction(row: Any) -> Action:
    move, entry = Move(*row[: len(MOVE_COLUMNS)]), Entry(*row[len(MOVE_COLUMNS) :])
    assert move.done_at is not None
    return Action("correct", entry, move, move.done_at)


def _newest(action: Action) -> tuple[datetime, bool, int]:
    # A correction comes after the filing of the same moment.
    return action.at, action.kind == "correct", action.entry.id
