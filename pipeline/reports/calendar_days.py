"""Days of a time zone as half-open intervals of UTC, and when a day's report is due.

When clocks change, a day has 23, 24.5 or 25 hours, has no midnight, or does not exist at all (Apia, 30
December 2011). So no code here adds 24 hours: it looks up both ends of a day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the moment, in UTC, at which `day` begins in `zone`."""
    # fold=0: the first of two midnights; a skipped midnight becomes the end of the gap.
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the half-open interval of UTC that is `day` in `zone`; empty if that day does not exist."""
    return start_of(day, zone), start_of(day + _DAY, zone)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the day whose `bounds` contain `moment`, which is aware.

    It is the calendar date, unless a clock was put back across midnight (St. John's, until 2010): then the
    date repeats, but a moment belongs to one day only.
    """
    local = moment.astimezone(zone).date()
    for day in (local + _DAY, local):
        if start_of(day, zone) <= moment:
            return day
    return local - _DAY


def due_at(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the moment, in UTC, at which the report of `day` is due: `at` by the next day's clock."""
    by_clock = datetime.combine(day + _DAY, at, tzinfo=zone).astimezone(UTC)
    return max(by_clock, start_of(day + _DAY, zone))


def last_due(now: datetime, at: time, zone: ZoneInfo) -> date:
    """Return the newest day whose report is due at `now`."""
    day = day_of(now, zone) - _DAY
    while due_at(day, at, zone) > now:
        day -= _DAY
    return day


def next_due_at(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """Return the first moment after `now`, in UTC, at which a report becomes due."""
    return due_at(last_due(now, at, zone) + _DAY, at, zone)


def days_between(first: date, last: date, zone: ZoneInfo) -> list[date]:
    """List the days from `first` to `last`, both included, in order, without those that do not exist."""
    days = [first + n * _DAY for n in range((last - first).days + 1)]
    return [day for day in days if start_of(day, zone) < start_of(day + _DAY, zone)]
