"""What a worker shares with others on one PostgreSQL: its signs of life, who is silent, and who does what.

All statements are in a thread of their own, so that a slow database makes a sign of life late and no photo.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from db.connection.errors import DatabaseError
from db.connection.session_locks import REPORTER, WATCHER
from db.ledger import workers
from db.queries import workers as known_workers
from db.queries.workers import KnownWorker, all_workers
from pipeline.alerts.silences import Silences, SilentWorker
from pipeline.nightly.schedule import NightlyWork, StoppedError
from pipeline.service.turns import Turn
from pipeline.service.watchdog import PREPARE_SECONDS
from pipeline.worker.heartbeat import Heartbeat

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""Between two signs of life in the database."""

STOP_SECONDS = 2.0


class SharedLedger:
    """The worker `worker` among others: writes its heartbeat, and takes the locks of what one does for all.

    `address` is that of its pages; it `sends_alerts` of silent workers, and only one that does can be the one
    that says so. On SQLite, which has one worker, there is no thread, and it reports.
    """

    def __init__(
        self, engine: Engine, worker: int, address: str | None, *, sends_alerts: bool = False
    ) -> None:
        self._engine = engine
        self._worker = worker
        self._address = address
        self._is_shared = engine.dialect.name != "sqlite"
        self._reporting = Turn(engine, REPORTER, worker)
        self._watching = Turn(engine, WATCHER, worker) if sends_alerts else None
        self._reports = not self._is_shared
        self._reports_as_of = time.monotonic()
        self._beat: Heartbeat | None = None
        self._followed_at = time.monotonic()
        self._written: Heartbeat | None = None
        self._silences = Silences(reports=not self._is_shared)
        self._said: frozenset[str] | None = None
        self._problem: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pawsort-shared-ledger", daemon=True)

    @property
    def reports(self) -> bool:
        """Whether this worker writes the reports and makes the nightly backup.

        One that was frozen, or whose session hangs, leaves that before another may begin.
        """
        age = time.monotonic() - self._reports_as_of
        return self._reports and (not self._is_shared or age <= known_workers.SILENT_SECONDS)

    @property
    def silences(self) -> Silences:
        """Which others are silent, as of the last look."""
        return self._silences

    def follow(self, beat: Heartbeat) -> None:
        """Take the newest heartbeat; one that is not new is no sign of life."""
        self._beat, self._followed_at = beat, time.monotonic()

    def note_said(self, names: frozenset[str] | None) -> None:
        """Take the names of workers of which an alert says that they are silent; None if none are watched."""
        self._said = names

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Give signs of life until the block ends."""
        if not self._is_shared:
            yield
            return
        self.step()
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(STOP_SECONDS)  # it may wait for the server; it is a daemon
            self._reports = False
            for turn in self._turns:
                turn.free()

    def step(self) -> None:
        """Write the last heartbeat, take or check the locks of what one does for all, see who is silent."""
        try:
            self._write()
            self._look(watches=self._take_turns())
        except DatabaseError as error:
            self._reports = False  # another may have the lock now
            for turn in self._turns:
                turn.lose()
            self._note(str(error))
        except Exception as error:  # the thread must go on
            self._reports = False
            log.exception("signs of life: unexpected error")
            self._problem = str(error)
        else:
            self._note(None)

    @property
    def _turns(self) -> list[Turn]:
        return [turn for turn in (self._reporting, self._watching) if turn]

    def _run(self) -> None:
        while not self._stopping.wait(BEAT_SECONDS):
            self.step()

    def _write(self) -> None:
        beat = self._beat
        if beat is not None and (beat is not self._written or self._is_starting):
            workers.beat(self._engine, self._worker, beat.as_dict(), self._address)
            self._written = beat

    @property
    def _is_starting(self) -> bool:
        """Whether it takes up files that were left unfinished, which may take long without a heartbeat."""
        is_first = self._beat is not None and self._beat.state == "starting"
        return is_first and time.monotonic() - self._followed_at < PREPARE_SECONDS

    def _take_turns(self) -> bool:
        """Take the locks, or check them; return whether this worker is the one that says who is silent."""
        # A worker that takes no steps would say of no other that it is silent.
        if time.monotonic() - self._followed_at > known_workers.SILENT_SECONDS:
            for turn in self._turns:
                turn.leave()
            reports = watches = False
        else:
            reports = self._reporting.take()
            watches = self._watching is not None and self._watching.take()
        if reports and not self._reports:
            log.info("this worker writes the reports of all workers")
        if self._reports and not reports:
            log.info("another worker writes the reports now")
        self._reports = reports
        self._reports_as_of = time.monotonic()
        return watches

    def _look(self, watches: bool) -> None:
        known, said = all_workers(self._engine), self._said
        if watches and self._silences.watches and said is not None:
            workers.say_silent(self._engine, [each.id for each in known if each.name in said])
        if not watches:
            self._said = None
        concerned = tuple(_silent(each) for each in known if each.is_silent or each.silence_said_at)
        self._silences = Silences(watches, concerned, self._reports)

    def _note(self, problem: str | None) -> None:
        if problem and not self._problem:
            log.warning("signs of life: %s; trying again", problem)
        if self._problem and not problem:
            log.info("signs of life: the database answers again")
        self._problem = problem


@dataclass(frozen=True, slots=True)
class OnReporter:
    """Nightly work that one worker of all does; one that takes over does what the other has missed."""

    work: NightlyWork
    shared: SharedLedger

    def run_due(self, now: datetime, check: Callable[[], None]) -> None:
        """Do the work if this worker reports, and stop when it no longer does; raises as the work does."""

        def still() -> None:
            check()
            if not self.shared.reports:
                raise StoppedError

        still()
        self.work.run_due(now, still)


def _silent(worker: KnownWorker) -> SilentWorker:
    moments = [at for at in (worker.beat_at, worker.started_at) if at]
    return SilentWorker(worker.name, worker.is_silent, worker.silence_said_at, max(moments, default=None))
