"""Months and years as ranges of days, and which of their summaries are due. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

Kind = Literal["months", "years"]


@dataclass(frozen=True, slots=True)
class Period:
    """A month or a year, from its `first` day to its `last`; `name` is YYYY-MM or YYYY."""

    kind: Kind
    first: date
    last: date

    @property
    def name(self) -> str:
        """The period as in the names of files and in the column `day`."""
        return f"{self.first:%Y-%m}" if self.kind == "months" else f"{self.first:%Y}"


def complete(first: date, last: date) -> list[Period]:
    """Return the periods that contain a day from `first` on and end by `last`, months before years.

    The period in which `first` lies counts, though it is not whole: nothing arrived before.
    """
    months = [period for period in _months(first, last) if period.last <= last]
    years = [_year(year) for year in range(first.year, last.year + 1)]
    return [*months, *(period for period in years if period.last <= last)]


def due(
    periods: Sequence[Period], written: Mapping[str, datetime], days: Mapping[date, datetime], now: datetime
) -> list[Period]:
    """Return the periods whose summary is missing, or older than the report of one of its days.

    `written` has the times of summaries by name, `days` those of daily reports. A time after `now` is of a
    clock that was ahead.
    """
    newest: dict[str, datetime] = {}
    for day, at in days.items():
        for name in (f"{day:%Y-%m}", f"{day:%Y}"):
            newest[name] = max(at, newest.get(name, at))
    return [
        period
        for period in periods
        if not newest.get(period.name, _NEVER) <= written.get(period.name, _NEVER) <= now
        or period.name not in written
    ]


def _months(first: date, last: date) -> Iterator[Period]:
    start = first.replace(day=1)
    while start <= last:
        following = (start + timedelta(days=31)).replace(day=1)
        yield Period("months", start, following - timedelta(days=1))
        start = following


def _year(year: int) -> Period:
    return Period("years", date(year, 1, 1), date(year, 12, 31))


_NEVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
