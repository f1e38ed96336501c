"""Days of a time zone as half-open intervals of UTC, and when a day's report is due.

Clocks that are put forward or back make a day 23, 24.5 or 25 hours long, skip midnight, or skip a whole day
(Apia, 30 December 2011). Nothing here adds 24 hours to anything: both ends of a day are looked up.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the moment, in UTC, at which `day` begins in `zone`."""
    # fold=0: of a midnight that comes twice the first; one that the clock skips becomes the end of the gap.
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the half-open interval of UTC that is `day` in `zone`; it is empty if that day never was."""
    return start_of(day, zone), start_of(day + _DAY, zone)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the day in whose `bounds` `moment`, which is aware, lies.

    It is the date of the calendar, save where a clock was put back across midnight (St. John's, until 2010):
    there the date repeats, but a moment belongs to one day only.
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
    """List the days from `first` to `last`, both included, in order, without those that never were."""
    days = [first + n * _DAY for n in range((last - first).days + 1)]
    return [day for day in days if start_of(day, zone) < start_of(day + _DAY, zone)]
