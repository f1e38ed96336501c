"""Write the reports of a day as CSV files for people, spreadsheets and programs.

    reports/summary-YYYY-MM-DD.csv   a row for each inbox and outcome; columns: `summary.COLUMNS`
    reports/images-YYYY-MM-DD.csv    a row for each image: schema_version, then the columns of `results`
    reports/drift-YYYY-MM-DD.csv     a row for each figure beside what is usual; `drift_report.COLUMNS`
    reports/latest-summary.csv       copies of the newest day's files
    reports/latest-images.csv
    reports/latest-drift.csv

A day has the images first seen (`seen_at`) between two midnights of `report.timezone`. Equal rows give equal
bytes. The images and summary of a day without arrivals have a header and no rows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine

from db.ledger.report_days import record_report
from db.queries import listing
from pipeline.files.permissions import make_folder
from pipeline.files.replace_file import replace_file
from pipeline.reports import csv_files, drift_alarms, drift_report
from pipeline.reports.calendar_days import bounds, day_of, days_between, last_due
from pipeline.reports.drift_report import DriftReporter
from pipeline.reports.summary import SCHEMA_VERSION, SummaryBuilder

logger = logging.getLogger(__name__)

CHUNK_ROWS = 10_000
"""Rows in memory at once."""

KINDS = ("images", "summary", "drift")
"""The kinds of files, in the order in which they are written."""

_SLACK = timedelta(minutes=1)
"""A change gets its time before its commit, so a report may miss changes of the time shortly before it."""


def _no_check() -> None:
    pass


@dataclass(frozen=True, slots=True)
class DayReport:
    """The written report of one day; `counts` are images by outcome, including `waiting`."""

    day: date
    arrived: int
    counts: dict[str, int]
    reconciles: bool
    paths: tuple[Path, ...]

    @property
    def waiting(self) -> int:
        """Images that were claimed and not yet filed."""
        return self.counts[listing.WAITING]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Writes the reports of days in `zone` into `folder`.

    `at` is the time of day from which yesterday counts as finished; `outcomes` are the folders that have a
    row in each summary, in the order of the rows; `state` is the folder for the alarms of drift, None for no
    record of them. Every method raises OSError if files cannot be written, and DatabaseError. `check` is
    called between chunks of rows and may raise an error to stop.
    """

    engine: Engine
    folder: Path
    zone: ZoneInfo
    at: time
    outcomes: tuple[str, ...]
    state: Path | None = None

    def write_due(self, now: datetime, check: Callable[[], None] = _no_check) -> list[date]:
        """Write the reports of all `due_days` and return these days.

        If a day fails, the others are still written; the first error is raised at the end.
        """
        written, failed = [], dict[date, OSError]()
        figures = DriftReporter(self.engine, self.zone)
        for day in self.due_days(now):
            check()
            try:
                written.append(self._write(day, now, figures, check).day)
            except OSError as error:
                failed[day] = error
        if failed:
            first, reason = next(iter(failed.items()))
            raise OSError(f"{len(failed)} days could not be written, the first {first}: {reason}") from reason
        return written

    def write_range(self, first: date, last: date, now: datetime) -> list[DayReport]:
        """Write the reports of each day from `first` to `last`, whether finished and due or not."""
        figures = DriftReporter(self.engine, self.zone)
        return [self._write(day, now, figures) for day in days_between(first, last, self.zone)]

    def write_day(self, day: date, now: datetime, check: Callable[[], None] = _no_check) -> DayReport:
        """Write the files of `day`, and the `latest-` copies unless a newer day was written before."""
        return self._write(day, now, DriftReporter(self.engine, self.zone), check)

    def _write(
        self, day: date, now: datetime, figures: DriftReporter, check: Callable[[], None] = _no_check
    ) -> DayReport:
        make_folder(self.folder)
        images, summary, drift = (self.folder / f"{kind}-{day.isoformat()}.csv" for kind in KINDS)
        builder = SummaryBuilder(self.outcomes)
        start, end = bounds(day, self.zone)
        before = listing.arrived(self.engine, start, end)
        rows = listing.report_rows(self.engine, start, end, CHUNK_ROWS)
        replace_file(images, _image_lines(rows, builder, check))
        arrived = builder.settled(before, listing.arrived(self.engine, start, end))
        frame = builder.frame(day, arrived)
        replace_file(summary, [csv_files.header(frame), csv_files.body(frame)])
        found = figures.findings(day, check)
        replace_file(drift, drift_report.lines(day, found))
        if all(report.day <= day for report in listing.written_reports(self.engine)):
            for kind, path in zip(KINDS, (images, summary, drift), strict=True):
                replace_file(self.folder / f"latest-{kind}.csv", csv_files.pieces_of(path))
            if self.state and end <= now:  # so far, a day may have the photos of a morning only
                drift_alarms.update(self.state, drift_alarms.state_of(day, found))
        report = DayReport(
            day,
            sum(arrived.values()),
            builder.counts(),
            builder.reconciles(arrived),
            (summary, images, drift),
        )
        self._record(report, now)
        return report

    def due_days(self, now: datetime) -> list[date]:
        """Return the finished days, from the first arrival on, without a report or changed since their
        report.

        Includes days whose report was written before they ended, or by a clock that was ahead.
        """
        first = listing.first_seen_at(self.engine)
        if first is None:
            return []
        written = {report.day: report for report in listing.written_reports(self.engine)}
        finished = days_between(day_of(first, self.zone), last_due(now, self.at, self.zone), self.zone)
        return [day for day in finished if self._is_outdated(day, written.get(day), now)]

    def _is_outdated(self, day: date, report: listing.Report | None, now: datetime) -> bool:
        start, end = bounds(day, self.zone)
        if report is None or not end <= report.written_at <= now:
            return True
        return listing.changed_since(self.engine, start, end, report.written_at - _SLACK)

    def _record(self, report: DayReport, now: datetime) -> None:
        if not report.reconciles:
            logger.warning(
                "summary of %s does not reconcile: %d arrived, %d are counted",
                report.day,
                report.arrived,
                sum(report.counts.values()),
            )
        record_report(self.engine, report.day, now, report.waiting)


def _image_lines(
    parts: Iterable[Sequence[Mapping[str, Any]]], builder: SummaryBuilder, check: Callable[[], None]
) -> Iterator[bytes]:
    yield csv_files.header(_versioned(_frame([])))
    for rows in parts:
        check()
        frame = _frame(rows)
        builder.add(frame)
        yield csv_files.body(_versioned(frame))


def _versioned(frame: pd.DataFrame) -> pd.DataFrame:
    frame.insert(0, "schema_version", SCHEMA_VERSION)
    return frame


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of `results` as columns of the dtypes that `csv_files` and `SummaryBuilder` expect."""
    return pd.DataFrame(
        {name: _series([row[name] for row in rows], kind) for name, kind in listing.result_kinds().items()}
    )


def _series(cells: list[Any], kind: listing.ColumnKind) -> pd.Series:
    if kind == "json":
        cells = [None if cell is None else json.dumps(cell) for cell in cells]
    return pd.Series(cells, dtype=_DTYPES[kind])


_DTYPES: dict[listing.ColumnKind, str] = {
    "time": "datetime64[us, UTC]",
    "real": "float64",
    "integer": "Int64",
    "json": "str",
    "text": "str",
}
