"""The file of drift of a day: a row for each figure beside what is usual, as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine

from db.queries.day_figures import DayFigures, day_figures
from db.queries.listing import first_seen_at
from pipeline.reports import csv_files
from pipeline.reports.calendar_days import bounds, day_of
from pipeline.reports.drift import HISTORY, Finding, findings
from pipeline.reports.drift_words import sentence

SCHEMA_VERSION = 1

COLUMNS = {
    "schema_version": "Int64",  # 1; rises when a column changes its name, place or meaning
    "day": "str",  # YYYY-MM-DD, a day of report.timezone
    "measure": "str",  # uncertain, confidence, classes, failed, brightness or size
    "label": "str",  # the class, of a row of `classes`
    "photos": "Int64",  # number that the value is of, each content once
    "value": "float64",  # of the day: a share or mean, 0 to 1; of size, megapixels
    "usual": "float64",  # of the last four weeks; empty while too few days are known
    "low": "float64",  # from here ...
    "high": "float64",  # ... to here the recent days are in line
    "alarm": "bool",
    "since": "str",  # YYYY-MM-DD, the first day out of line
    "before": "float64",  # the usual value until then
    "now": "float64",  # the mean since then
    "sentence": "str",  # what moved, and what to look at
}
"""The columns in their order, each with its dtype."""


class DriftReporter:
    """Compare days of `zone` with those before; the figures of each day are read from `engine` once.

    Make a new one for each run, since figures change.
    """

    def __init__(self, engine: Engine, zone: ZoneInfo) -> None:
        self._engine = engine
        self._zone = zone
        self._known: dict[date, DayFigures] = {}

    def findings(self, day: date, check: Callable[[], None] = lambda: None) -> list[Finding]:
        """Return the figures of `day` beside the usual. `check` may raise to stop. Raises DatabaseError."""
        first = max(day - timedelta(days=HISTORY - 1), min(day, self._first_day))
        days = [first + timedelta(days=past) for past in range((day - first).days + 1)]
        return findings([(each, self._figures(each, check)) for each in days])

    @cached_property
    def _first_day(self) -> date:
        """The day of the first arrival: those before it have no figures, and asking for each takes time."""
        first = first_seen_at(self._engine)
        return date.max if first is None else day_of(first, self._zone)

    def _figures(self, day: date, check: Callable[[], None]) -> DayFigures:
        if day not in self._known:
            check()
            self._known[day] = day_figures(self._engine, *bounds(day, self._zone))
        return self._known[day]


def lines(day: date, found: Sequence[Finding]) -> Iterator[bytes]:
    """Yield the lines of the file of `day`."""
    frame = pd.DataFrame([_row(day, each) for each in found], columns=list(COLUMNS)).astype(COLUMNS)
    yield csv_files.header(frame)
    yield csv_files.body(frame)


def _row(day: date, each: Finding) -> tuple[object, ...]:
    since = each.since.isoformat() if each.since else None
    return (
        SCHEMA_VERSION, day.isoformat(), each.measure, each.label, each.photos, each.value, each.usual,
        each.low, each.high, since is not None, since, each.before, each.now, sentence(each) or None,
    )  # fmt: skip
