"""Limits of numbers and times in commands and URLs: those of databases and of Python's calendar.

`cli.options` makes types of options from these, `web.routes.parameters` types of parameters.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

LARGEST_INTEGER = 2**63 - 1
"""The largest integer of a database column."""

# Days before and after, in any time zone, must exist too.
FIRST_DAY = date(2, 1, 1)
LAST_DAY = date(9998, 12, 31)


def to_utc(moment: datetime) -> datetime:
    """Return a time in UTC; a naive one is UTC. Raises ValueError outside the years 2 to 9998."""
    within(moment.date())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def within(day: date) -> date:
    """Return `day`. Raises ValueError outside the years 2 to 9998."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"expected a year from {FIRST_DAY.year} to {LAST_DAY.year}")
    return day
