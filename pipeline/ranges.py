"""The numbers and times that commands and addresses accept: what databases and Python's calendar can hold.

Commands make option types of these in `cli_shared`, routes make parameter types in `web/parameters`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

LARGEST_INTEGER = 2**63 - 1
"""The largest integer of a database column."""

# Around a day or moment its neighbours in any time zone must exist too.
FIRST_DAY = date(2, 1, 1)
LAST_DAY = date(9998, 12, 31)


def to_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; without a zone it is UTC. Raises ValueError outside the years 2 to 9998."""
    within(moment.date())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def within(day: date) -> date:
    """Return `day`. Raises ValueError outside the years 2 to 9998."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"expected a year from {FIRST_DAY.year} to {LAST_DAY.year}")
    return day
