"""The ledger: the only code that writes the state of files.

    claimed ──> decoding ──> decided ──> filed ──> undone     or undone at once: a failed file that is left
       │  └───────────────────┘ ▲        │ ▲└┐
       ├──> vanished <──────────│────────┘ └─┘ correct, undo of a correction (`db.ledger.move_records`)
       │    a refused file or a duplicate is not decoded
       └──> row deleted, when the file could not be moved out of its inbox (`unclaim`)

Each method is one transaction, committed when it returns: all of its files change state, or, with
LedgerError, none. A file that is not in the state that the method expects is never changed. Times are
arguments and aware. Every method raises DatabaseError.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, delete, insert, select, text, update

from db.connection.engine import reading, writing
from db.connection.errors import LedgerError
from db.ledger import statements
from db.ledger.claims import GONE, claim, claimed_row
from db.ledger.move_records import MoveBook
from db.schema.file_names import RawName
from db.schema.records import (
    Action,
    ClaimedFile,
    Entry,
    FileDecision,
    Identity,
    Move,
    SettledFile,
    in_words,
)
from db.schema.rows import entries_by, entry_of, in_pieces
from db.schema.tables import IS_FILED, IS_PENDING, IS_UNFINISHED, State, files, moves

__all__ = [
    "Action", "ClaimedFile", "Entry", "FileDecision", "Identity", "Ledger", "LedgerError", "Move",
    "SettledFile",
]  # fmt: skip

_STATE = files.c.state


class Ledger(MoveBook):
    """The ledger in the database of `engine`; claimed files lie in the folder `spool` (absolute).

    `engine` may be of one worker's files, `owner`; `everyone` then sees those of all.
    """

    def __init__(self, engine: Engine, spool: RawName, everyone: Engine | None = None) -> None:
        super().__init__(engine)
        self._everyone = everyone or engine
        self._spool = spool

    def claim(self, settled: Sequence[SettledFile], at: datetime) -> list[ClaimedFile]:
        """Record files as claimed before they are renamed into the spool; return the new rows, in order.

        A file that an undo had put back counts as a new delivery, and its old row ends.
        """
        if not settled:
            return []
        with writing(self._engine) as connection:
            return claim(connection, self._spool, settled, at)

    def adopt(self, spool_name: RawName, at: datetime) -> None:
        """Record a file that lies in the spool and has no unfinished row.

        If its old row is vanished, that row becomes claimed again. Otherwise it gets a new row with the spool
        as its inbox and size and mtime 0: only its name is known.
        """
        unknown = SettledFile(os.fsdecode(self._spool), spool_name, 0, 0, 0, 0, at)
        row = claimed_row(unknown, os.fsdecode(spool_name), at)
        known = {"spool_name": row["spool_name"], "path": os.path.join(self._spool, spool_name)}
        with writing(self._engine) as connection:
            vanished = files.c.spool_name == known["spool_name"], _STATE == "vanished"
            again = update(files).where(*vanished).values(state="claimed", changed_at=at, **known)
            if not connection.execute(again).rowcount:
                connection.execute(insert(files), [{**row, **known}])

    def vanish(self, ids: Collection[int], at: datetime) -> None:
        """Record that claimed files were gone before they could be renamed into the spool."""
        with writing(self._engine) as connection:
            gone = update(files).where(files.c.id.in_(ids), _STATE == "claimed")
            done = connection.execute(gone.values(state="vanished", path=None, changed_at=at))
            _all_took(done, ids, "vanish", "claimed")

    def unclaim(self, ids: Collection[int]) -> None:
        """Delete the rows of claimed files that could not be moved out of their inbox.

        Such a file is unchanged and is claimed again at each retry; a row for each retry would be too many.
        """
        with writing(self._engine) as connection:
            done = connection.execute(delete(files).where(files.c.id.in_(ids), _STATE == "claimed"))
            _all_took(done, ids, "unclaim", "claimed")

    def begin_decoding(self, items: Sequence[tuple[int, str]], alone: bool, at: datetime) -> None:
        """Record files, as (id, SHA-256), before they are decoded; `alone` counts as an attempt."""
        rows = [{"row_id": id, "new_sha256": sha256, "alone": int(alone), "at": at} for id, sha256 in items]
        self._each(statements.BEGIN_DECODING, rows, "begin_decoding", "claimed", "decoding")

    def release(self, items: Sequence[tuple[int, int]], at: datetime) -> None:
        """Record that decoding was stopped on purpose, as (id, attempts that still count)."""
        rows = [{"row_id": id, "new_attempts": attempts, "at": at} for id, attempts in items]
        self._each(statements.RELEASE, rows, "release", "decoding")

    def reclaim(
        self, id: int, bytes: int, mtime_ns: int, at: datetime, original: Identity | None = None
    ) -> None:
        """Record that the content changed in the spool: the file has a new size and mtime and starts over.

        `original` is the identity of the original now, if the file is a link to it.
        """
        also = {} if original is None else {"original": in_words(original)}
        with writing(self._engine) as connection:
            changed = update(files).where(files.c.id == id, statements.BEFORE_DECISION)
            new = {"state": "claimed", "bytes": bytes, "mtime_ns": mtime_ns, "sha256": None, "changed_at": at}
            done = connection.execute(changed.values(**new, **also))
            _all_took(done, [id], "reclaim", "claimed", "decoding")

    def identify(self, copies: Mapping[int, Identity]) -> None:
        """Record the identities of the copies, by id, that were made of claimed files."""
        rows = [{"row_id": id, "new_dev": dev, "new_ino": ino} for id, (dev, ino, _, _) in copies.items()]
        self._each(statements.IDENTIFY, rows, "identify", "claimed", "decoding")

    def decide(self, decisions: Sequence[FileDecision], at: datetime) -> None:
        """Record decisions, each with its destination, before the files are renamed."""
        self._each(
            statements.DECIDE,
            [_decided(decision, at) for decision in decisions],
            "decide",
            "claimed",
            "decoding",
        )

    def redirect(self, id: int, destination: RawName) -> None:
        """Record another destination, because a file has been put there in the meantime."""
        with writing(self._engine) as connection:
            elsewhere = update(files).where(files.c.id == id, _STATE == "decided")
            done = connection.execute(elsewhere.values(destination=destination))
            _all_took(done, [id], "redirect", "decided")

    def file(self, ids: Collection[int], at: datetime) -> None:
        """Record that files are durably at their destination.

        An older row with one of these paths names a file that is no longer there, and ends.
        """
        with writing(self._engine) as connection:
            before = connection.execute(statements.OWNERS_BEFORE, {"ids": list(ids)}).scalars().all()
            _end(connection, before, at)
            done = connection.execute(statements.FILE, {"ids": list(ids), "at": at})
            _all_took(done, ids, "file", "decided")

    def leave(self, identities: Mapping[int, Identity], at: datetime) -> None:
        """Record that failed files are durably at their places in their inboxes, as after an undo.

        `identities` are those that they have there, by id.
        """
        rows = [
            {"row_id": id, "new_dev": dev, "new_ino": ino, "at": at}
            for id, (dev, ino, _, _) in identities.items()
        ]
        self._each(statements.LEAVE, rows, "leave", "decided")

    def relocate(self, paths: Mapping[int, RawName], at: datetime) -> None:
        """Record new absolute paths of filed files, by id, whose folders were moved."""
        rows = [{"row_id": id, "new_path": path, "at": at} for id, path in paths.items()]
        self._each(statements.RELOCATE, rows, "relocate", "filed")

    def let_go(self, id: int, at: datetime) -> None:
        """Record that a file which an undo has put back counts as a new delivery when it is claimed again."""
        with writing(self._engine) as connection:
            undone = update(files).where(files.c.id == id, _STATE == "undone")
            done = connection.execute(undone.values(**GONE, changed_at=at))
            _all_took(done, [id], "let_go", "undone")

    def end(self, entries: Sequence[Entry], at: datetime) -> set[int]:
        """End the rows of files that are not where they were filed and came in again; return their ids.

        A row that changed since it was read does not end, nor one whose file is being moved.
        """
        with writing(self._engine) as connection:
            paths = {entry.id: entry.path for entry in entries}
            now = select(files.c.id, files.c.path).where(files.c.id.in_(paths), text(IS_FILED))
            same = [row.id for row in connection.execute(now) if row.path == paths[row.id]]
            return _end(connection, same, at)

    def unfinished(self) -> list[Entry]:
        """Return the files between their claim and their destination, oldest first."""
        with reading(self._engine) as connection:
            return entries_by(connection, text(IS_UNFINISHED))

    def entries(self, ids: Collection[int]) -> list[Entry]:
        """Return the existing rows of these ids, oldest first."""
        with reading(self._engine) as connection:
            pieces = in_pieces(sorted(ids))
            return [entry for ids in pieces for entry in entries_by(connection, files.c.id.in_(ids))]

    def same_content(self, contents: Mapping[str, Collection[int]]) -> dict[str, list[Entry]]:
        """Return, by SHA-256, earlier files of the same content that are decided, filed or corrected.

        They may be of other workers. `contents` has the inodes of the files that have it now. Corrected files
        come first, the last correction first, even if the row has ended; then the earliest, MOST_ALIKE each.
        """
        found: dict[str, list[Entry]] = {}
        inodes = sorted({ino for inodes in contents.values() for ino in inodes})
        with reading(self._everyone) as connection:
            for part in in_pieces(sorted(contents)):
                asked = {"sha256s": part, "inodes": inodes, "most": statements.MOST_ALIKE}
                for row in connection.execute(statements.SAME_CONTENT, asked):
                    entry = entry_of(row)
                    found.setdefault(str(entry.sha256), []).append(entry)
        return found

    def same_file(self, seen: Collection[Identity], refused: Collection[RawName]) -> list[Entry]:
        """Return the filed rows of these very files where no SHA-256 can tell: one of two was not read.

        These are rows that have none, and rows with a name of `refused`, files that were refused unread now.
        """
        mtimes = sorted({mtime_ns for _, _, bytes, mtime_ns in seen if not bytes})
        sizes = sorted({bytes for _, _, bytes, _ in seen if bytes})
        asked = {"sizes": sizes, "mtimes": mtimes, "names": sorted(refused)}
        with reading(self._engine) as connection:
            some = connection.scalar(statements.SOME_UNREAD) is not None
            found = [*connection.execute(statements.UNREAD_LIKE, asked)] if some else []
            found += connection.execute(statements.NAMED_LIKE, asked) if refused else ()
        by_id = {entry.id: entry for entry in map(entry_of, found)}
        return [entry for entry in by_id.values() if any(entry.is_version(one) for one in seen)]

    def oldest_beside(self, entry: Entry, most: int) -> list[RawName]:
        """Return the paths of the `most` oldest other filed files with the outcome of `entry`."""
        oldest = select(files.c.path).where(files.c.outcome == entry.outcome, text(IS_FILED))
        others = oldest.where(files.c.id != entry.id).order_by(files.c.seen_at).limit(most)
        with reading(self._engine) as connection:
            return [path for path in connection.execute(others).scalars() if path is not None]

    def put_back(self, seen: Mapping[RawName, Identity]) -> set[RawName]:
        """Return which of these files, absolute path -> identity, an undo has put back or is putting back.

        They are not claimed until their size or mtime changes or they are renamed. Disks that are mounted
        again may have another device and inodes, so these do not tell.
        """
        paths = sorted(seen)
        with reading(self._engine) as connection:
            undone = [
                entry_of(row)
                for part in (in_pieces(paths) if connection.scalar(statements.SOME_UNDONE) else ())
                for row in connection.execute(statements.UNDONE_AT, {"paths": part})
            ]
            moving = set(connection.execute(statements.COMING_BACK).scalars())
        known = {entry.path for entry in undone if entry.path and entry.looks_like(*seen[entry.path][2:])}
        return known | (moving & seen.keys())

    def _each(self, step: Any, rows: list[dict[str, Any]], name: str, *before: State) -> None:
        if not rows:
            return
        with writing(self._engine) as connection:
            _all_took(connection.execute(step, rows), [row["row_id"] for row in rows], name, *before)


def _decided(decision: FileDecision, at: datetime) -> dict[str, Any]:
    if decision.destination is None:
        raise LedgerError(f"The decision on file {decision.id} has no destination; nothing was changed.")
    answer = {f"new_{name}": getattr(decision, name) for name in statements.ANSWER}
    return {"row_id": decision.id, "new_outcome": decision.outcome, "at": at, **answer}


def _all_took(done: CursorResult[Any], ids: Collection[int], step: str, *before: State) -> None:
    if done.rowcount != len(ids):
        raise LedgerError(
            f"Only {done.rowcount} of {len(ids)} files were {' or '.join(before)}, as `{step}` needs; "
            "nothing was changed. Another program writes to this ledger, or this is a mistake in Pawsort "
            f"(ids {sorted(ids)[:10]})."
        )


def _end(connection: Connection, ids: Collection[int], at: datetime) -> set[int]:
    """End the rows of filed files, except those that a correction or undo is moving."""
    if not ids:
        return set()
    # The lock keeps a move from starting; a move that has started is seen by the next statement.
    filed = select(files.c.id).where(files.c.id.in_(ids), text(IS_FILED)).with_for_update(key_share=True)
    ending = set(connection.execute(filed).scalars())
    moving = select(moves.c.file_id).where(moves.c.file_id.in_(ending), text(IS_PENDING))
    ending -= set(connection.execute(moving).scalars())
    ended = update(files).where(files.c.id.in_(ending))
    connection.execute(ended.values(**GONE, outcome=None, changed_at=at))
    return ending
