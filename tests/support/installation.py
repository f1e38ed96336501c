"""An installation in a folder of a test: settings, a database, photos, workers, and what they filed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from db.connection.engine import open_database, upgrade
from db.ledger.ledger import FileDecision, Ledger, SettledFile
from models.bundle.bundle import Bundle
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.recorded_move import Change
from pipeline.files import moves
from pipeline.settings import config
from pipeline.worker.loop import Worker
from pipeline.worker.startup import prepare_folders
from tests.support.oracle import files_below
from tests.support.stub_classifier import BUNDLE, StubClassifier

QUICK = """
inboxes: [inbox, scans]
decision: {min_confidence: 0.9}
batch: {size: 4, wait_seconds: 0}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
"""
"""Settings with which a worker takes a file as soon as it sees it."""

SMALL = QUICK + "limits: {file_mb: 0.001}\n"
"""The same, with a limit that a test can exceed."""

FOLDERS = {"cat": "cats", "dog": "dogs"}
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@functools.cache
def empty_database() -> bytes:
    """Return a database to copy, because the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        upgrade(f"sqlite:///{folder}/pawsort.db")
        return Path(folder, "pawsort.db").read_bytes()


def wait(
    done: Callable[[], object], what: str = "a condition", seconds: float = 60.0, pause: float = 0.02
) -> None:
    """Wait until `done` returns something true, asking again after each pause; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(pause)


class Installation:
    """Settings, folders and a database below one folder, for this process.

    `drop` puts a photo into an inbox; `run_worker` files what is there, with a stub classifier; `file` does
    for one file what a worker does. Subclasses start workers as processes of their own.
    """

    busy_seconds = 5.0
    """How long `rows` waits for a locked database."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(settings, encoding="utf-8")
        self.settings = config.load(self.config)
        self.injected: list[bytes] = []
        self.time = START
        self.classifier = StubClassifier()
        self._engines: list[Engine] = []
        self.prepare()

    def prepare(self) -> None:
        """Make all folders and an empty database."""
        prepare_folders(self.settings)
        database = self.settings.state / "pawsort.db"
        if not database.exists():
            database.write_bytes(empty_database())

    def close(self) -> None:
        """Close the database."""
        for engine in self._engines:
            engine.dispose()

    # --- photos, and what became of them

    @property
    def inbox(self) -> Path:
        return self.settings.inboxes[0]

    @property
    def raw_inbox(self) -> bytes:
        return os.fsencode(self.inbox)

    @property
    def raw_sorted(self) -> bytes:
        return os.fsencode(self.settings.sorted)

    def drop(self, name: str | bytes, data: bytes, inbox: int = 0) -> bytes:
        """Put a new file into an inbox; return its path."""
        path = os.path.join(os.fsencode(self.settings.inboxes[inbox]), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
        self.injected.append(data)
        return path

    def sorted(self) -> set[str]:
        """Name the files under `sorted`, relative to it."""
        return {os.fsdecode(os.path.relpath(p, self.raw_sorted)) for p in files_below(self.settings.sorted)}

    def tree(self) -> dict[bytes, bytes]:
        """Content by path of every file in the inbox and under `sorted`."""
        found = [*moves.files_below(self.raw_inbox, print), *moves.files_below(self.raw_sorted, print)]
        base = os.fsencode(self.settings.base)
        return {os.path.relpath(p, base): Path(os.fsdecode(p)).read_bytes() for p in found}

    def rows(self, columns: str = "name, outcome, reason", condition: str = "true") -> list[tuple[Any, ...]]:
        """Ask the view of results."""
        path = self.settings.state / "pawsort.db"
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=self.busy_seconds)
        try:
            return database.execute(f"SELECT {columns} FROM results WHERE {condition} ORDER BY id").fetchall()
        finally:
            database.close()

    # --- a worker in this process

    def worker(
        self, classifier: StubClassifier | None = None, bundle: Bundle = BUNDLE, **options: Any
    ) -> Worker:
        """Return a worker that is not started yet, with a connection and a classifier of its own."""
        self.classifier = classifier or StubClassifier()
        return Worker(self.settings, bundle, self._open(), self.classifier, **options)

    def run_worker(self, classifier: StubClassifier | None = None, bundle: Bundle = BUNDLE) -> Worker:
        """Start a worker, let it file everything, stop it."""
        worker = self.worker(classifier, bundle)
        run_until_idle(worker)
        worker.stop()
        return worker

    # --- the database, and files that are recorded without a worker

    @functools.cached_property
    def engine(self) -> Engine:
        return self._open()

    @functools.cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.engine, os.fsencode(self.settings.spool))

    def again(self) -> Installation:
        """The same with a database connection of its own, for another thread."""
        return Installation(self.folder, self.config.read_text(encoding="utf-8"))

    def now(self) -> datetime:
        """Return a time one second after the last."""
        self.time += timedelta(seconds=1)
        return self.time

    def file(
        self,
        source: bytes,
        content: bytes = b"cat",
        outcome: str = "cats",
        hashed: bool = True,
        **decision: object,
    ) -> int:
        """Do for one file what the worker does; return its id."""
        id, spool, destination = self._decide(source, content, outcome, hashed, **decision)
        moves.make_folders(os.path.dirname(destination), os.path.join(self.raw_sorted, outcome.encode()))
        moves.move(spool, destination)
        self.ledger.file([id], self.now())
        return id

    def claim(self, source: bytes, decided: bool = False) -> bytes:
        """Do only the beginning of it; return the file's name in the spool."""
        return os.path.basename((self._decide if decided else self._claim)(source)[1])

    def correct(self, *names: bytes, label: str = "dog") -> list[Change]:
        paths = [os.path.join(self.raw_sorted, name) for name in names]
        return correct_undo_retry.correct(self.engine, self.settings, paths, label, "ann", FOLDERS, self.now)

    def undo(
        self, last: int | None = None, since: datetime | None = None, files: tuple[bytes, ...] = ()
    ) -> list[Change]:
        paths = [os.path.join(self.raw_sorted, name) for name in files]
        return correct_undo_retry.undo(self.engine, self.settings, "ben", paths, last, since, self.now)

    def recover(self) -> list[Change]:
        return correct_undo_retry.recover_moves(self.engine, self.settings, self.now)

    def state(self, id: int) -> tuple[str, str | None, str | None, bytes | None]:
        """State, outcome, corrected_to, and path relative to the folder."""
        [entry] = self.ledger.entries([id])
        path = entry.path and os.path.relpath(entry.path, os.fsencode(self.settings.base))
        return entry.state, entry.outcome, entry.corrected_to, path

    def _open(self) -> Engine:
        self._engines.append(unsynced(open_database(self.settings.database_url)))
        return self._engines[-1]

    def _claim(self, source: bytes, content: bytes = b"cat") -> tuple[int, bytes]:
        arrived = os.path.join(self.raw_inbox, source)
        os.makedirs(os.path.dirname(arrived), exist_ok=True)
        Path(os.fsdecode(arrived)).write_bytes(content)
        file = SettledFile(os.fspath(self.inbox), source, *moves.identity(arrived), self.now())
        [ticket] = self.ledger.claim([file], self.now())
        spool = os.path.join(os.fsencode(self.settings.spool), ticket.spool_name.encode())
        moves.move(arrived, spool)
        return ticket.id, spool

    def _decide(
        self,
        source: bytes,
        content: bytes = b"cat",
        outcome: str = "cats",
        hashed: bool = True,
        **decision: object,
    ) -> tuple[int, bytes, bytes]:
        id, spool = self._claim(source, content)
        root = os.path.join(self.raw_sorted, outcome.encode())
        destination = moves.destination(root, source, os.path.lexists)
        sha256 = hashlib.sha256(content).hexdigest() if hashed else None
        usual = FileDecision(
            id, outcome, "cat", 0.9, None, None, {"cat": 0.9}, destination,
            "JPEG", 1, 1, None, sha256, "stub", "0" * 64, None,
        )  # fmt: skip
        self.ledger.decide([usual._replace(**decision)], self.now())  # type: ignore[arg-type]
        return id, spool, destination


def unsynced(engine: Engine) -> Engine:
    """Let SQLite not wait for the disk: tests in this process commit thousands of times.

    Power is cut only under workers in processes of their own, and `tests/db` checks what they have.
    """

    def hurry(connection: sqlite3.Connection, _record: object = None) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(engine, "connect", hurry)
    with contextlib.closing(engine.raw_connection()) as pooled:
        hurry(pooled.driver_connection)  # type: ignore[arg-type]
    return engine


def run_until_idle(worker: Worker, steps: int = 3000) -> None:
    """Start a worker and let it take steps until it has nothing to do."""
    worker.start()
    for _ in range(steps):
        worker.step()
        if worker.idle:
            return
    held = worker.in_flight.held
    raise AssertionError(f"not idle after {steps} steps: {held} held, trouble: {worker.trouble}")


def step_until(worker: Worker, done: Callable[[], object], steps: int = 3000) -> None:
    """Let a worker take steps until `done` returns something true."""
    for _ in range(steps):
        if done():
            return
        worker.step()
    raise AssertionError(f"waited in vain for {steps} steps")
