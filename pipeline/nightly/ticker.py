"""Call a function once a minute in a thread of its own.

A cron trigger at a local time would skip or repeat a day when clocks change, and a timer until then would
ignore a suspended machine or a corrected clock. So APScheduler only wakes a thread, in UTC, which compares
two times; it stores nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

INTERVAL_SECONDS = 60
_JOB = "tick"


class MinuteTicker:
    """Calls `tick` at the start and then once a minute, never twice at once, until `stop`."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        # It logs two lines for each wake; failures are logged by what it calls.
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            # A late wake, after a suspend or a long write, still runs, but only once.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Start the thread."""
        soon = datetime.now(UTC)
        self._scheduler.add_job(self._tick, "interval", seconds=INTERVAL_SECONDS, id=_JOB, next_run_time=soon)
        self._scheduler.start()

    def follow_clock(self) -> None:
        """Wake the thread now if the clock was set back: APScheduler waits for a time of the old clock."""
        job = self._scheduler.get_job(_JOB) if self._scheduler.running else None
        now = datetime.now(UTC)
        if job and job.next_run_time and job.next_run_time - now > 2 * timedelta(seconds=INTERVAL_SECONDS):
            self._scheduler.modify_job(_JOB, next_run_time=now)

    def stop(self) -> None:
        """Make no more calls; do not wait for one that runs."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
