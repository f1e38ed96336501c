"""When reports are written: each night, at start for the nights that were missed, and again after a failure.

A cron trigger at `report.at` in local time skips or doubles a day when clocks change, and a wait until then
sleeps through a suspended machine or a corrected clock. So APScheduler wakes a thread once a minute, in UTC,
and all it does nearly always is compare two moments. When a look is due, the database says which days are
missing; the scheduler keeps no record of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from db.connection.errors import DatabaseError
from pipeline.reports.calendar_days import next_due_at

logger = logging.getLogger(__name__)

WAKE_SECONDS = 60
LONGEST_WAIT = timedelta(hours=1)
STOP_SECONDS = 3.0
"""How long `stop` waits for a report that is being written; it gives up within one chunk of rows."""


class StoppedError(Exception):
    """A report was left unwritten because the worker stops; the next start writes it."""


class Reporter(Protocol):
    """What writes the reports that are due; `pipeline.reports.daily.Reporter` does."""

    def write_due(self, now: datetime, check: Callable[[], None]) -> Sequence[date]:
        """Write them and return their days.

        `check` is called often and raises to end it all, which must reach the caller. Raises OSError or
        DatabaseError when something could not be written.
        """


@dataclass(frozen=True, slots=True)
class ReportSchedule:
    """When the reporter looked last and how that went; all moments are UTC.

    `at` is the time of day, in `zone`, at which yesterday's reports are due.
    """

    at: time
    zone: ZoneInfo
    looked_at: datetime | None = None
    failures: int = 0
    problem: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Tell whether to look: at start, at night, after a failure, and when the clock was set back."""
        return self.looked_at is None or now < self.looked_at or self.next_look(self.looked_at) <= now

    def next_look(self, now: datetime) -> datetime:
        """Return when the next look is due, after the last one; `now` where there was none."""
        if self.looked_at is None:
            return now
        if self.failures:
            return self.looked_at + min(timedelta(minutes=2 ** (self.failures - 1)), LONGEST_WAIT)
        return next_due_at(self.looked_at, self.at, self.zone)

    def succeeded(self, now: datetime) -> ReportSchedule:
        """Return the agenda after a look at `now` that left nothing to do."""
        return replace(self, looked_at=now, failures=0, problem=None)

    def failed(self, now: datetime, problem: str) -> ReportSchedule:
        """Return the agenda after a look at `now` that could not write everything."""
        # The exponent is bounded because 2 ** 10_000 minutes is no timedelta.
        return replace(self, looked_at=now, failures=min(self.failures + 1, 10), problem=problem)


class Schedule:
    """Write reports in a thread of this process until `stop`; `clock` gives the time, aware."""

    def __init__(
        self,
        reporter: Reporter,
        agenda: ReportSchedule,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reporter = reporter
        self._agenda = agenda
        self._clock = clock
        self._stopping = threading.Event()
        self._writing = threading.Lock()
        self._scheduler = _scheduler()

    @property
    def agenda(self) -> ReportSchedule:
        """The agenda as it is now; safe to read from any thread."""
        return self._agenda

    def start(self) -> None:
        """Start the thread, which looks at once for what was missed."""
        self._scheduler.add_job(
            self.wake, "interval", seconds=WAKE_SECONDS, id="reports", next_run_time=datetime.now(UTC)
        )
        self._scheduler.start()

    def wake(self) -> None:
        """Look for reports that are due, if a look is due and no other is under way."""
        if not self._writing.acquire(blocking=False):
            logger.info("reports are still being written; the next look is in %d s", WAKE_SECONDS)
            return
        try:
            now = self._clock()
            if self._agenda.is_due(now):
                self._look(now)
        finally:
            self._writing.release()

    def stop(self) -> None:
        """End the thread; a report under way is given up, and written at the next start."""
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._writing.acquire(timeout=STOP_SECONDS):
            self._writing.release()
        else:
            logger.warning("a report hangs, perhaps on a dead network share; stopping without it")

    def _look(self, now: datetime) -> None:
        try:
            days = self._reporter.write_due(now, self._check)
        except StoppedError:
            return
        except (OSError, DatabaseError) as error:
            self._fail(now, str(error))
        except Exception as error:
            # Whatever it is, it must not end the reports for good.
            logger.exception("reports: an error nobody foresaw")
            self._fail(now, f"{type(error).__name__}: {' '.join(str(error).split())}")
        else:
            self._agenda = self._agenda.succeeded(now)
            if days:
                logger.info("wrote reports of %d days, the last of %s", len(days), max(days))

    def _check(self) -> None:
        if self._stopping.is_set():
            raise StoppedError

    def _fail(self, now: datetime, problem: str) -> None:
        self._agenda = self._agenda.failed(now, problem)
        logger.error("reports: %s; next try at %s", problem, self._agenda.next_look(now).isoformat())


def _scheduler() -> BackgroundScheduler:
    # Its two lines of INFO for each wake would fill the log; a failure is ours to tell.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    return BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        # A wake that comes late, after a suspend or a long write, still counts, but only once.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
