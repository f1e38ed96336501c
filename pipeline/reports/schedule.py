"""Schedule reports: each night, at start for missed nights, and again after a failure.

A cron trigger at `report.at` in local time would skip or repeat a day when clocks change, and a timer until
then would ignore a suspended machine or a corrected clock. So APScheduler wakes a thread once a minute, in
UTC, which compares two times; `follow_clock` wakes it after the clock was set back. If a check is due, the
database provides the missing days; the scheduler stores nothing.
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
from models.errors import in_words
from pipeline.reports.calendar_days import next_due_at

logger = logging.getLogger(__name__)

WAKE_SECONDS = 60
LONGEST_WAIT = timedelta(hours=1)
_JOB = "reports"

STOP_SECONDS = 3.0
"""Seconds that `stop` waits for a report being written, which stops within one chunk of rows."""


class StoppedError(Exception):
    """A report was stopped because the worker stops; the next start writes it."""


class Reporter(Protocol):
    """Writer of due reports, such as `pipeline.reports.daily.Reporter`."""

    def write_due(self, now: datetime, check: Callable[[], None]) -> Sequence[date]:
        """Write the due reports and return their days.

        Calls `check` often and passes on what it raises to stop. Raises OSError or DatabaseError if a report
        could not be written.
        """


@dataclass(frozen=True, slots=True)
class ReportSchedule:
    """Time and result of the last check for due reports; all times are UTC.

    `at` is the time of day, in `zone`, at which yesterday's reports are due.
    """

    at: time
    zone: ZoneInfo
    looked_at: datetime | None = None
    failures: int = 0
    problem: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Return whether a check is due: at start, at night, after a failure or a clock set back."""
        return self.looked_at is None or now < self.looked_at or self.next_look(self.looked_at) <= now

    def next_look(self, now: datetime) -> datetime:
        """Return the time of the next check; `now` if there was none yet."""
        if self.looked_at is None:
            return now
        if self.failures:
            return self.looked_at + min(timedelta(minutes=2 ** (self.failures - 1)), LONGEST_WAIT)
        return next_due_at(self.looked_at, self.at, self.zone)

    def succeeded(self, now: datetime) -> ReportSchedule:
        """Return the schedule after a successful check at `now`."""
        return replace(self, looked_at=now, failures=0, problem=None)

    def failed(self, now: datetime, problem: str) -> ReportSchedule:
        """Return the schedule after a check at `now` that could not write all reports."""
        # The exponent is bounded because 2 ** 10_000 minutes is no timedelta.
        return replace(self, looked_at=now, failures=min(self.failures + 1, 10), problem=problem)


class Schedule:
    """Write reports in a thread of this process until `stop`; `clock` returns an aware time.

    Other nightly work has the same needs; `name` is that of the work in the log.
    """

    def __init__(
        self,
        reporter: Reporter,
        agenda: ReportSchedule,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        name: str = "reports",
    ) -> None:
        self._name = name
        self._reporter = reporter
        self._agenda = agenda
        self._clock = clock
        self._stopping = threading.Event()
        self._writing = threading.Lock()
        self._scheduler = background_scheduler()

    @property
    def agenda(self) -> ReportSchedule:
        """The present schedule; safe to read from any thread."""
        return self._agenda

    def start(self) -> None:
        """Start the thread, which checks at once for missed reports."""
        self._scheduler.add_job(
            self.wake, "interval", seconds=WAKE_SECONDS, id=_JOB, next_run_time=datetime.now(UTC)
        )
        self._scheduler.start()

    def wake(self) -> None:
        """Check for due reports, if a check is due and none is running."""
        if not self._writing.acquire(blocking=False):
            logger.info("%s: still at work; the next check is in %d s", self._name, WAKE_SECONDS)
            return
        try:
            now = self._clock()
            if self._agenda.is_due(now):
                self._look(now)
        finally:
            self._writing.release()

    def follow_clock(self) -> None:
        """Wake the thread now if the clock was set back: APScheduler waits for a time of the old clock."""
        job = self._scheduler.get_job(_JOB) if self._scheduler.running else None
        now = datetime.now(UTC)
        if job and job.next_run_time and job.next_run_time - now > 2 * timedelta(seconds=WAKE_SECONDS):
            self._scheduler.modify_job(_JOB, next_run_time=now)

    def stop(self) -> None:
        """Stop the thread; the next start writes an unfinished report."""
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._writing.acquire(timeout=STOP_SECONDS):
            self._writing.release()
        else:
            why = "what it does takes long, perhaps on a network share; stopping without it"
            logger.warning("%s: %s", self._name, why)

    def _look(self, now: datetime) -> None:
        try:
            days = self._reporter.write_due(now, self._check)
        except StoppedError:
            return
        except (OSError, DatabaseError) as error:
            self._fail(now, in_words(error))
        except Exception as error:
            # An unexpected error must not end all later reports.
            logger.exception("%s: unexpected error", self._name)
            self._fail(now, in_words(error))
        else:
            self._agenda = self._agenda.succeeded(now)
            if days:
                logger.info("wrote reports of %d days, the last of %s", len(days), max(days))

    def _check(self) -> None:
        if self._stopping.is_set():
            raise StoppedError

    def _fail(self, now: datetime, problem: str) -> None:
        self._agenda = self._agenda.failed(now, problem)
        next_look = self._agenda.next_look(now).isoformat()
        logger.error("%s: %s; next try at %s", self._name, problem, next_look)


def background_scheduler() -> BackgroundScheduler:
    """Return a scheduler that runs one job at a time, also after a suspend."""
    # It logs two lines for each wake; failures are logged here.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    return BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        # A late wake, after a suspend or a long write, still runs, but only once.
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
