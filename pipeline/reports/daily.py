"""Write the reports of a day as CSV files for people, spreadsheets and programs.

    reports/summary-YYYY-MM-DD.csv   a row for each worker, inbox and outcome; columns: `summary.COLUMNS`
    reports/images-YYYY-MM-DD.csv    a row for each image: schema_version, then the columns of `results`
    reports/drift-YYYY-MM-DD.csv     a row for each figure beside what is usual; `drift_report.COLUMNS`
    reports/latest-summary.csv       copies of the newest day's files
    reports/latest-images.csv
    reports/latest-drift.csv

A day has the images first seen (`seen_at`) between two midnights of `report.timezone`. Equal rows give equal
bytes. The images and summary of a day without arrivals have a header and no rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import Engine

from db.ledger.report_days import record_report
from db.queries import listing
from db.queries.day_figures import arrived as count_arrived
from pipeline.errors import LockError
from pipeline.files.exclusive_lock import exclusive
from pipeline.files.permissions import make_folder
from pipeline.files.replace_file import replace_file
from pipeline.reports import csv_files, drift_alarms, drift_report
from pipeline.reports.calendar_days import bounds, day_of, days_between, last_due
from pipeline.reports.drift import Finding
from pipeline.reports.drift_report import DriftReporter
from pipeline.reports.period_reports import PeriodReporter
from pipeline.reports.periods import Period
from pipeline.reports.result_frames import frame_of, with_shown
from pipeline.reports.summary import SCHEMA_VERSION, SummaryBuilder

logger = logging.getLogger(__name__)

CHUNK_ROWS = 10_000
"""Rows in memory at once."""

LOCK = "reports.lock"  # in the state folder
WAIT_SECONDS = 600
"""How long to wait for another process that writes a report."""

KINDS = ("images", "summary", "drift")
"""The kinds of files, in the order in which they are written."""

_SLACK = timedelta(minutes=1)
"""A change gets its time before its commit, so a report may miss changes of the time shortly before it."""


def _no_check() -> None:
    pass


@dataclass(frozen=True, slots=True)
class OfficeRequest:
    """Write the files for an office beside finished CSV files.

    `name` is a day, YYYY-MM-DD, a month, YYYY-MM, or a year, YYYY; `now` is the time of the report;
    `is_latest` says that the `latest-` copies are of this day.
    """

    name: str
    now: datetime
    is_latest: bool

    @property
    def is_day(self) -> bool:
        """Whether it is of a day."""
        return self.name.count("-") == 2


WriteOffice: TypeAlias = Callable[[OfficeRequest, Callable[[], None]], tuple[Path, ...]]
"""Writes the files and returns their paths, calling the second argument often. Raises OSError if they should
be tried again; any other problem is logged."""


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
class _Run:
    """What the days that are written together share."""

    now: datetime
    figures: DriftReporter
    office: WriteOffice | None
    check: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Writes the reports of days in `zone` into `folder`.

    `at` is the time of day from which yesterday counts as finished; `outcomes` are the folders that have
    a row in each summary, in the order of the rows; `state` is the folder for the lock of the writer, the
    alarms of drift and the times of the summaries of months and years, None for none of these. `office`
    is entered for a run, and gives the writer of more files. `on_written` is called with each report.
    Every method raises OSError if files cannot be written, and DatabaseError. `check` is called between
    chunks of rows and may raise an error to stop.
    """

    engine: Engine
    folder: Path
    zone: ZoneInfo
    at: time
    outcomes: tuple[str, ...]
    state: Path | None = None
    office: Callable[[], AbstractContextManager[WriteOffice]] | None = None
    on_written: Callable[[DayReport], None] = lambda _: None

    def write_due(self, now: datetime, check: Callable[[], None] = _no_check) -> list[date]:
        """Write the reports of all `due_days` and return these days; then those of months and years.

        If a day fails, the others are still written; the first error is raised at the end.
        """
        written, failed = [], dict[date, OSError]()
        with self._run(now, check) as run:
            for day in self.due_days(now):
                check()
                try:
                    written.append(self._write(day, run).day)
                except OSError as error:
                    failed[day] = error
            if failed:
                first, reason = next(iter(failed.items()))
                raise OSError(
                    f"{len(failed)} days could not be written, the first {first}: {reason}"
                ) from reason
            self._write_periods(run)
        return written

    def write_range(self, first: date, last: date, now: datetime) -> list[DayReport]:
        """Write the reports of each day from `first` to `last`, whether finished and due or not."""
        with self._run(now) as run:
            return [self._write(day, run) for day in days_between(first, last, self.zone)]

    def write_periods(self, first: date, last: date, now: datetime) -> list[Path]:
        """Write the due summaries of months and years that have a day from `first` to `last`."""
        with self._run(now) as run:
            return self._write_periods(run, lambda period: period.first <= last and first <= period.last)

    def write_day(self, day: date, now: datetime, check: Callable[[], None] = _no_check) -> DayReport:
        """Write the files of `day`, and the `latest-` copies unless a newer day was written before."""
        with self._run(now, check) as run:
            return self._write(day, run)

    @contextmanager
    def _run(self, now: datetime, check: Callable[[], None] = _no_check) -> Iterator[_Run]:
        with ExitStack() as stack:
            office = stack.enter_context(self.office()) if self.office else None
            yield _Run(now, DriftReporter(self.engine, self.zone), office, check)

    def _write(self, day: date, run: _Run) -> DayReport:
        with self._one_writer(run.check):
            make_folder(self.folder)
            is_latest = all(report.day <= day for report in listing.written_reports(self.engine))
            report, found = self._write_files(day, run)
            if is_latest:
                self._write_latest(day, run.now, found)
            if run.office:
                more = run.office(OfficeRequest(day.isoformat(), run.now, is_latest), run.check)
                report = replace(report, paths=(*report.paths, *more))
            self._record(report, run.now)
            self.on_written(report)
            return report

    @contextmanager
    def _one_writer(self, check: Callable[[], None]) -> Iterator[None]:
        """Wait until no other process writes a report, so that the files of a day are from one of them.

        Raises OSError after WAIT_SECONDS, and what `check` raises.
        """
        if self.state is None:
            yield
            return
        with ExitStack() as stack:
            for _ in range(WAIT_SECONDS):
                check()
                with suppress(LockError):
                    stack.enter_context(exclusive(self.state / LOCK, 1.0, "reports are being written"))
                    break
            else:
                raise OSError("another process has been writing reports for ten minutes; see `ps`, try again")
            yield

    def _write_files(self, day: date, run: _Run) -> tuple[DayReport, list[Finding]]:
        images, summary, drift = self._paths(day)
        builder = SummaryBuilder(self.outcomes)
        start, end = bounds(day, self.zone)
        before = count_arrived(self.engine, start, end)
        rows = listing.report_rows(self.engine, start, end, CHUNK_ROWS)
        replace_file(images, _image_lines(rows, builder, run.check))
        arrived = builder.settled(before, count_arrived(self.engine, start, end))
        frame = builder.frame(day.isoformat(), arrived)
        replace_file(summary, [csv_files.header(frame), csv_files.body(frame)])
        found = run.figures.findings(day, run.check)
        replace_file(drift, drift_report.lines(day, found))
        counts, paths = builder.counts(), (summary, images, drift)
        return DayReport(day, sum(arrived.values()), counts, builder.reconciles(arrived), paths), found

    def _write_latest(self, day: date, now: datetime, found: Sequence[Finding]) -> None:
        for kind, path in zip(KINDS, self._paths(day), strict=True):
            replace_file(self.folder / f"latest-{kind}.csv", csv_files.pieces_of(path))
        if self.state and bounds(day, self.zone)[1] <= now:  # so far, a day may have a morning's photos only
            drift_alarms.update(self.state, drift_alarms.state_of(day, found))

    def _paths(self, day: date) -> list[Path]:
        return [self.folder / f"{kind}-{day.isoformat()}.csv" for kind in KINDS]

    def _write_periods(self, run: _Run, wanted: Callable[[Period], bool] = lambda _: True) -> list[Path]:
        if self.state is None:
            return []
        periods = PeriodReporter(self.engine, self.folder, self.zone, self.outcomes, self.state)
        written: list[Path] = []
        for period in filter(wanted, periods.due(last_due(run.now, self.at, self.zone), run.now)):
            with self._one_writer(run.check):
                written.append(periods.write(period, run.now, run.check))
                if run.office:
                    written += run.office(OfficeRequest(period.name, run.now, False), run.check)
        return written

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
    yield csv_files.header(_versioned(frame_of([])))
    for rows in parts:
        check()
        frame = frame_of(rows)
        builder.add(with_shown(frame, rows))
        yield csv_files.body(_versioned(frame))


def _versioned(frame: pd.DataFrame) -> pd.DataFrame:
    frame.insert(0, "schema_version", SCHEMA_VERSION)
    return frame
