"""Folders, a ledger and files in them, without a worker."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.connection.engine import open_database, upgrade
from db.ledger.ledger import FileDecision, Ledger, SettledFile
from pipeline.config import Settings
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.recorded_move import Change
from pipeline.files import moves

FOLDERS = {"cat": "cats", "dog": "dogs"}
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@functools.cache
def empty_database() -> bytes:
    """Return a database to copy, because the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        upgrade(f"sqlite:///{folder}/pawsort.db")
        return Path(folder, "pawsort.db").read_bytes()


class House:
    """An inbox, sorted folders and a ledger, and a worker in one method."""

    def __init__(self, base: Path) -> None:
        self.settings = Settings(base=base)
        for folder in (*self.settings.inboxes, self.settings.sorted, self.settings.spool):
            folder.mkdir(parents=True, exist_ok=True)
        database = self.settings.state / "pawsort.db"
        if not database.exists():
            database.write_bytes(empty_database())
        self.engine = open_database(self.settings.database_url)
        self.ledger = Ledger(self.engine, os.fsencode(self.settings.spool))
        self.time = START

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    @property
    def sorted(self) -> bytes:
        return os.fsencode(self.settings.sorted)

    @property
    def inbox(self) -> bytes:
        return os.fsencode(self.settings.inboxes[0])

    def file(
        self,
        source: bytes,
        content: bytes = b"cat",
        outcome: str = "cats",
        hashed: bool = True,
        **answer: object,
    ) -> int:
        """Do for one file what the worker does; return its id."""
        id, spool, destination = self._decide(source, content, outcome, hashed, **answer)
        moves.make_folders(os.path.dirname(destination), os.path.join(self.sorted, outcome.encode()))
        moves.move(spool, destination)
        self.ledger.file([id], self.now())
        return id

    def claim(self, source: bytes, decided: bool = False) -> bytes:
        """Do only the beginning of it; return the file's name in the spool."""
        return os.path.basename((self._decide if decided else self._claim)(source)[1])

    def again(self) -> House:
        """The same house with a database connection of its own, for another thread."""
        return House(self.settings.base)

    def _claim(self, source: bytes, content: bytes = b"cat") -> tuple[int, bytes]:
        arrived = os.path.join(self.inbox, source)
        os.makedirs(os.path.dirname(arrived), exist_ok=True)
        Path(os.fsdecode(arrived)).write_bytes(content)
        identity = moves.identity(arrived)
        inbox = os.fspath(self.settings.inboxes[0])
        [ticket] = self.ledger.claim([SettledFile(inbox, source, *identity, self.now())], self.now())
        spool = os.path.join(os.fsencode(self.settings.spool), ticket.spool_name.encode())
        moves.move(arrived, spool)
        return ticket.id, spool

    def _decide(
        self,
        source: bytes,
        content: bytes = b"cat",
        outcome: str = "cats",
        hashed: bool = True,
        **answer: object,
    ) -> tuple[int, bytes, bytes]:
        id, spool = self._claim(source, content)
        root = os.path.join(self.sorted, outcome.encode())
        destination = moves.destination(root, source, os.path.lexists)
        sha256 = hashlib.sha256(content).hexdigest() if hashed else None
        verdict = FileDecision(
            id, outcome, "cat", 0.9, None, None, {"cat": 0.9}, destination,
            "JPEG", 1, 1, None, sha256, "stub", "0" * 64, None,
        )  # fmt: skip
        self.ledger.decide([replace(verdict, **answer)], self.now())  # type: ignore[arg-type]
        return id, spool, destination

    def correct(self, *names: bytes, label: str = "dog") -> list[Change]:
        paths = [os.path.join(self.sorted, name) for name in names]
        return correct_undo_retry.correct(self.engine, self.settings, paths, label, "ann", FOLDERS, self.now)

    def undo(
        self, last: int | None = None, since: datetime | None = None, files: tuple[bytes, ...] = ()
    ) -> list[Change]:
        return correct_undo_retry.undo(
            self.engine,
            self.settings,
            "ben",
            [os.path.join(self.sorted, f) for f in files],
            last,
            since,
            self.now,
        )

    def recover(self) -> list[Change]:
        return correct_undo_retry.recover_moves(self.engine, self.settings, self.now)

    def state(self, id: int) -> tuple[str, str | None, str | None, bytes | None]:
        """State, outcome, corrected_to, and path relative to the house."""
        [entry] = self.ledger.entries([id])
        path = entry.path and os.path.relpath(entry.path, os.fsencode(self.settings.base))
        return entry.state, entry.outcome, entry.corrected_to, path

    def tree(self) -> dict[bytes, bytes]:
        """Content by path of every file in the inbox and under sorted."""
        found = [*moves.files_below(self.inbox, print), *moves.files_below(self.sorted, print)]
        base = os.fsencode(self.settings.base)
        return {os.path.relpath(p, base): Path(os.fsdecode(p)).read_bytes() for p in found}
