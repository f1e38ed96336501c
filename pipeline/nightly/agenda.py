"""When nightly work is due, and when it is tried again; pure, with the time passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipeline.reports.calendar_days import next_due_at

LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Agenda:
    """Time and result of the last look for due work; all times are UTC.

    `at` is the time of day, in `zone`, at which work is due.
    """

    at: time
    zone: ZoneInfo
    looked_at: datetime | None = None
    failures: int = 0
    problem: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Return whether a look is due: at start, at night, after a failure or a clock set back."""
        return self.looked_at is None or now < self.looked_at or self.next_look(self.looked_at) <= now

    def next_look(self, now: datetime) -> datetime:
        """Return the time of the next look; `now` if there was none yet."""
        if self.looked_at is None:
            return now
        if self.failures:
            return self.looked_at + min(timedelta(minutes=2 ** (self.failures - 1)), LONGEST_WAIT)
        return next_due_at(self.looked_at, self.at, self.zone)

    def succeeded(self, now: datetime) -> Agenda:
        """Return the agenda after a successful look at `now`."""
        return replace(self, looked_at=now, failures=0, problem=None)

    def failed(self, now: datetime, problem: str) -> Agenda:
        """Return the agenda after a look at `now` that could not do all."""
        # The exponent is bounded because 2 ** 10_000 minutes is no timedelta.
        return replace(self, looked_at=now, failures=min(self.failures + 1, 10), problem=problem)
