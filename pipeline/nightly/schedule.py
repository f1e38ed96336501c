"""Do nightly work each night, at start for missed nights, and again after a failure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Protocol
from zoneinfo import ZoneInfo

from db.connection.errors import DatabaseError
from models.errors import in_words
from pipeline.errors import PawsortError
from pipeline.nightly.agenda import Agenda
from pipeline.nightly.ticker import INTERVAL_SECONDS, MinuteTicker

log = logging.getLogger(__name__)

STOP_SECONDS = 3.0
"""Seconds that `stop` waits for work that runs; a report stops within one chunk of rows."""


class StoppedError(Exception):
    """Work was stopped because the worker stops; the next start does it."""


class NightlyWork(Protocol):
    """Work that is due each night, such as `service.reporting.WorkersReporter`."""

    def run_due(self, now: datetime, check: Callable[[], None]) -> None:
        """Do what is due at `now`, also of nights that were missed.

        Calls `check` often and passes on what it raises to stop. Raises OSError, DatabaseError, PawsortError
        if something could not be done.
        """


class Schedule:
    """Does `work` in a thread of its own at the time of day `at` in `zone`, until `stop`.

    `name` is that of the work in the log; `clock` returns an aware time.
    """

    def __init__(
        self,
        work: NightlyWork,
        at: time,
        zone: ZoneInfo,
        name: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._work = work
        self._agenda = Agenda(at, zone)
        self._clock = clock
        self._stopping = threading.Event()
        self._working = threading.Lock()
        self._ticker = MinuteTicker(self.wake)

    @property
    def agenda(self) -> Agenda:
        """The present agenda; safe to read from any thread."""
        return self._agenda

    def start(self) -> None:
        """Start the thread, which looks at once for what was missed."""
        self._ticker.start()

    def wake(self) -> None:
        """Do what is due, if a look is due and no work is running."""
        if not self._working.acquire(blocking=False):
            log.info("%s: still at work; the next check is in %d s", self._name, INTERVAL_SECONDS)
            return
        try:
            now = self._clock()
            if self._agenda.is_due(now):
                self._look(now)
        finally:
            self._working.release()

    def follow_clock(self) -> None:
        """Look now if the clock was set back."""
        self._ticker.follow_clock()

    def stop(self) -> None:
        """Stop the thread; the next start does what is unfinished."""
        self._stopping.set()
        self._ticker.stop()
        if self._working.acquire(timeout=STOP_SECONDS):
            self._working.release()
        else:
            why = "what it does takes long, perhaps on a network share; stopping without it"
            log.warning("%s: %s", self._name, why)

    def _look(self, now: datetime) -> None:
        try:
            self._work.run_due(now, self._check)
        except StoppedError:
            return
        except (OSError, DatabaseError, PawsortError) as error:
            self._fail(now, in_words(error))
        except Exception as error:
            # An unexpected error must not end all later work.
            log.exception("%s: unexpected error", self._name)
            self._fail(now, in_words(error))
        else:
            self._agenda = self._agenda.succeeded(now)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise StoppedError

    def _fail(self, now: datetime, problem: str) -> None:
        self._agenda = self._agenda.failed(now, problem)
        next_look = self._agenda.next_look(now).isoformat()
        log.error("%s: %s; next try at %s", self._name, problem, next_look)
