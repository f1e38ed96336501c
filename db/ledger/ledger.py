"""The ledger: the only code that changes what is known of a file.

    claimed ──> decoding ──> decided ──> filed ──> undone
       │  └───────────────────┘ ▲        │ ▲└┐
       ├──> vanished <──────────│────────┘ └─┘ correct, undo of a correction (`db.ledger.moves`)
       │    a refusal or a duplicate meets no decoder
       └──> no row, when it could not be taken (`unclaim`)

Each method is one transaction, committed when it returns: either all of its files take the step, or, with
LedgerError, none. A file that is not in the state the step starts from is never changed. Times come in as
arguments and are aware. Every method raises DatabaseError.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, delete, insert, select, text, update

from db.connection.engine import reading, writing
from db.connection.errors import LedgerError
from db.ledger import statements
from db.ledger.moves import MoveBook
from db.schema.file_names import RawName, escape
from db.schema.records import Action, Claim, ClaimedFile, Entry, Identity, Move, Verdict
from db.schema.rows import entries_by, entry_of, in_pieces
from db.schema.tables import IS_FILED, IS_PENDING, IS_UNFINISHED, State, files, moves

__all__ = ["Action", "Claim", "ClaimedFile", "Entry", "Identity", "Ledger", "LedgerError", "Move", "Verdict"]

_SEEN = tuple(field.name for field in fields(Claim))
_STATE = files.c.state
# Confidences are counted by an index that knows no states.
_GONE = {"state": "vanished", "path": None, "confidence": None}


class Ledger(MoveBook):
    """The ledger in the database of `engine`, of files that wait in the folder `spool` (absolute)."""

    def __init__(self, engine: Engine, spool: RawName) -> None:
        super().__init__(engine)
        self._spool = spool

    def claim(self, claims: Sequence[Claim], at: datetime) -> list[ClaimedFile]:
        """Note files as ours before they are renamed into the spool; return a ticket for each, in order.

        A file that an undo had put back is a new delivery now, and its old row no longer speaks for it.
        """
        if not claims:
            return []
        tokens = _tokens(len(claims))
        rows = [_claimed(claim, token, at) for claim, token in zip(claims, tokens, strict=True)]
        with writing(self._engine) as connection:
            _supersede(connection, claims, at)
            ids = {token: id for id, token in connection.execute(statements.CLAIM, rows)}
            # In one statement for the batch: only now are the ids known.
            named = {"ids": list(ids.values()), "spool": escape(os.path.join(self._spool, b""))}
            connection.execute(statements.NAME_IN_SPOOL, named)
        return [ClaimedFile(ids[token], f"{ids[token]}-{token}") for token in tokens]

    def adopt(self, spool_name: RawName, at: datetime) -> None:
        """Note a file that lies in the spool while no unfinished row speaks of it.

        Its old row is taken up again if it had been given up as vanished. Else it gets a new one, with the
        spool for its inbox, and size and mtime 0: nothing is known of it but its name.
        """
        unknown = Claim(os.fsdecode(self._spool), spool_name, 0, 0, 0, 0, at)
        row = _claimed(unknown, os.fsdecode(spool_name), at)
        known = {"spool_name": row["spool_name"], "path": os.path.join(self._spool, spool_name)}
        with writing(self._engine) as connection:
            given_up = files.c.spool_name == known["spool_name"], _STATE == "vanished"
            again = update(files).where(*given_up).values(state="claimed", changed_at=at, **known)
            if not connection.execute(again).rowcount:
                connection.execute(insert(files), [{**row, **known}])

    def vanish(self, ids: Collection[int], at: datetime) -> None:
        """Note that claimed files were gone before they could be renamed into the spool."""
        with writing(self._engine) as connection:
            gone = update(files).where(files.c.id.in_(ids), _STATE == "claimed")
            done = connection.execute(gone.values(state="vanished", path=None, changed_at=at))
            _all_took(done, ids, "vanish", "claimed")

    def unclaim(self, ids: Collection[int]) -> None:
        """Remove the rows of claimed files that could not be taken out of their inbox.

        Nothing has happened to such a file, and it is claimed anew at each try; a row for each would be many.
        """
        with writing(self._engine) as connection:
            done = connection.execute(delete(files).where(files.c.id.in_(ids), _STATE == "claimed"))
            _all_took(done, ids, "unclaim", "claimed")

    def begin_decoding(self, items: Sequence[tuple[int, str]], alone: bool, at: datetime) -> None:
        """Note files, as (id, SHA-256), before a decoder sees them; `alone` counts as an attempt."""
        rows = [{"row_id": id, "new_sha256": sha256, "alone": int(alone), "at": at} for id, sha256 in items]
        self._each(statements.BEGIN_DECODING, rows, "begin_decoding", "claimed", "decoding")

    def release(self, items: Sequence[tuple[int, int]], at: datetime) -> None:
        """Take files back from a decoder that was stopped by us, as (id, attempts that count against it)."""
        rows = [{"row_id": id, "new_attempts": attempts, "at": at} for id, attempts in items]
        self._each(statements.RELEASE, rows, "release", "decoding")

    def reclaim(self, id: int, bytes: int, mtime_ns: int, at: datetime) -> None:
        """Note that the content changed in the spool: the file has a new size and mtime and begins anew."""
        with writing(self._engine) as connection:
            changed = update(files).where(files.c.id == id, statements.BEFORE_DECISION)
            done = connection.execute(
                changed.values(state="claimed", bytes=bytes, mtime_ns=mtime_ns, sha256=None, changed_at=at)
            )
            _all_took(done, [id], "reclaim", "claimed", "decoding")

    def decide(self, verdicts: Sequence[Verdict], at: datetime) -> None:
        """Note what was decided and where each file is to go, before it is renamed."""
        self._each(
            statements.DECIDE,
            [_decided(verdict, at) for verdict in verdicts],
            "decide",
            "claimed",
            "decoding",
        )

    def redirect(self, id: int, destination: RawName) -> None:
        """Note another destination, because the first was taken in the meantime."""
        with writing(self._engine) as connection:
            elsewhere = update(files).where(files.c.id == id, _STATE == "decided")
            done = connection.execute(elsewhere.values(destination=destination))
            _all_took(done, [id], "redirect", "decided")

    def file(self, ids: Collection[int], at: datetime) -> None:
        """Note that files are durably at their destination.

        An older row that names one of these places speaks of a file that is not there, and ends.
        """
        with writing(self._engine) as connection:
            before = connection.execute(statements.OWNERS_BEFORE, {"ids": list(ids)}).scalars().all()
            _end(connection, before, at)
            done = connection.execute(statements.FILE, {"ids": list(ids), "at": at})
            _all_took(done, ids, "file", "decided")

    def relocate(self, paths: Mapping[int, RawName], at: datetime) -> None:
        """Note that filed files, by id, lie at other absolute paths, because their folders were moved."""
        with writing(self._engine) as connection:
            for id, path in paths.items():
                there = update(files).where(files.c.id == id, text(IS_FILED))
                done = connection.execute(there.values(path=path, destination=path, changed_at=at))
                _all_took(done, [id], "relocate", "filed")

    def let_go(self, id: int, at: datetime) -> None:
        """Note that a file which an undo has put back counts as arriving anew, when it is claimed again."""
        with writing(self._engine) as connection:
            undone = update(files).where(files.c.id == id, _STATE == "undone")
            done = connection.execute(undone.values(**_GONE, changed_at=at))
            _all_took(done, [id], "let_go", "undone")

    def end(self, entries: Sequence[Entry], at: datetime) -> set[int]:
        """Note that these files are not where they were filed, and came in again; return whose rows end.

        A row that changed since it was read goes on, and so does one whose file is just being moved.
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
        """Return the rows of these ids that there are, oldest first."""
        with reading(self._engine) as connection:
            pieces = in_pieces(sorted(ids))
            return [entry for ids in pieces for entry in entries_by(connection, files.c.id.in_(ids))]

    def same_content(self, contents: Mapping[str, Collection[int]]) -> dict[str, list[Entry]]:
        """Return, by SHA-256, earlier files of the same content that are decided, filed or corrected.

        `contents` has the inodes of the files that have it now. What a person spoke on comes first, the last
        word before others, even if its row has ended since; then the earliest. Of very many, only some.
        """
        found: dict[str, list[Entry]] = {}
        inodes = sorted({ino for inodes in contents.values() for ino in inodes})
        with reading(self._engine) as connection:
            for part in in_pieces(sorted(contents)):
                asked = {"sha256s": part, "inodes": inodes, "most": statements.MOST_ALIKE}
                for row in connection.execute(statements.SAME_CONTENT, asked):
                    entry = entry_of(row)
                    found.setdefault(str(entry.sha256), []).append(entry)
        return found

    def put_back(self, seen: Mapping[RawName, Identity]) -> set[RawName]:
        """Return which of these files, absolute path -> identity, an undo has put back or is putting back.

        They are left alone until their identity changes or they are renamed.
        """
        paths = sorted(seen)
        with reading(self._engine) as connection:
            undone = [
                entry_of(row)
                for part in (in_pieces(paths) if connection.scalar(statements.SOME_UNDONE) else ())
                for row in connection.execute(statements.UNDONE_AT, {"paths": part})
            ]
            coming = set(connection.execute(statements.COMING_BACK).scalars())
        known = {e.path for e in undone if e.path and seen[e.path] == (e.dev, e.ino, e.bytes, e.mtime_ns)}
        return known | (coming & seen.keys())

    def _each(self, step: Any, rows: list[dict[str, Any]], name: str, *before: State) -> None:
        if not rows:
            return
        with writing(self._engine) as connection:
            _all_took(connection.execute(step, rows), [row["row_id"] for row in rows], name, *before)


def _tokens(count: int) -> list[str]:
    """Return so many different random parts of names in the spool, 8 hexadecimal digits each."""
    tokens: set[str] = set()
    while len(tokens) < count:
        tokens.add(secrets.token_hex(4))
    return list(tokens)


def _claimed(claim: Claim, spool_name: str, at: datetime) -> dict[str, Any]:
    stamps = {"claimed_at": at, "changed_at": at, "attempts": 0}
    name = os.path.basename(claim.source)
    as_seen = {name: getattr(claim, name) for name in _SEEN}
    return {**as_seen, **stamps, "state": "claimed", "name": name, "spool_name": spool_name}


def _decided(verdict: Verdict, at: datetime) -> dict[str, Any]:
    answer = {f"new_{name}": getattr(verdict, name) for name in statements.ANSWER}
    return {"row_id": verdict.id, "new_outcome": verdict.outcome, "at": at, **answer}


def _all_took(done: CursorResult[Any], ids: Collection[int], step: str, *before: State) -> None:
    if done.rowcount != len(ids):
        raise LedgerError(
            f"Only {done.rowcount} of {len(ids)} files were {' or '.join(before)}, as `{step}` needs; "
            "nothing was changed. Another program writes to this ledger, or this is a mistake in Pawsort "
            f"(ids {sorted(ids)[:10]})."
        )


def _supersede(connection: Connection, claims: Sequence[Claim], at: datetime) -> None:
    """Let go of rows of undone files that these claims are about: the same file, or another in its place."""
    if not connection.scalar(statements.SOME_UNDONE):
        return
    inodes = {(claim.dev, claim.ino) for claim in claims}
    paths = {os.path.join(os.fsencode(claim.inbox), claim.source) for claim in claims}
    touched = {"paths": sorted(paths), "inodes": sorted({ino for _, ino in inodes})}
    undone = connection.execute(statements.UNDONE_LIKE, touched).all()
    old = [row.id for row in undone if (row.dev, row.ino) in inodes or row.path in paths]
    for part in in_pieces(old):
        connection.execute(update(files).where(files.c.id.in_(part)).values(**_GONE, changed_at=at))


def _end(connection: Connection, ids: Collection[int], at: datetime) -> set[int]:
    """End the rows of filed files, but for those that a correction or undo is moving."""
    if not ids:
        return set()
    # The lock keeps a move from beginning; whatever has begun by then is seen by the next statement.
    filed = select(files.c.id).where(files.c.id.in_(ids), text(IS_FILED)).with_for_update()
    ending = set(connection.execute(filed).scalars())
    moving = select(moves.c.file_id).where(moves.c.file_id.in_(ending), text(IS_PENDING))
    ending -= set(connection.execute(moving).scalars())
    ended = update(files).where(files.c.id.in_(ending))
    connection.execute(ended.values(**_GONE, outcome=None, changed_at=at))
    return ending
