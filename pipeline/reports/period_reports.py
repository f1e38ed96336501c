"""Write the summaries of months and years, with the columns of a day's.

    reports/months/summary-YYYY-MM.csv
    reports/years/summary-YYYY.csv

They have folders of their own, because programs add up the summaries of all days by their names. A summary
is made from the images, not from those of the days, since quantiles do not add up. When each was written
stands in `state/summaries.json`: it is written again if the report of one of its days is newer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from db.queries import listing
from db.queries.day_figures import arrived
from pipeline.files.permissions import make_folder
from pipeline.files.replace_file import replace_file
from pipeline.reports import csv_files
from pipeline.reports.calendar_days import bounds, day_of, start_of
from pipeline.reports.periods import Period, complete, due
from pipeline.reports.result_frames import frame_of, with_shown
from pipeline.reports.summary import COUNTED, SummaryBuilder

logger = logging.getLogger(__name__)

FILE_NAME = "summaries.json"  # in the state folder
SCHEMA_VERSION = 1

CHUNK_ROWS = 10_000
"""Rows in memory at once; of each image of a year 24 bytes stay."""


@dataclass(frozen=True, slots=True)
class PeriodReporter:
    """Writes the summaries of complete months and years in `zone` below `folder`.

    `outcomes` are the folders with a row in each summary; `state` is the folder of the times at which each
    was written. Every method raises DatabaseError.
    """

    engine: Engine
    folder: Path
    zone: ZoneInfo
    outcomes: tuple[str, ...]
    state: Path

    def due(self, last: date, now: datetime) -> list[Period]:
        """Return the periods up to `last`, the last finished day, whose summary is to be written."""
        first = listing.first_seen_at(self.engine)
        if first is None:
            return []
        days = {report.day: report.written_at for report in listing.written_reports(self.engine)}
        return due(complete(day_of(first, self.zone), last), self._written(), days, now)

    def write(self, period: Period, now: datetime, check: Callable[[], None] = lambda: None) -> Path:
        """Write the summary of a period and return its path. Raises OSError, and what `check` raises."""
        path = self.folder / period.kind / f"summary-{period.name}.csv"
        make_folder(self.folder)
        make_folder(path.parent)
        start, end = start_of(period.first, self.zone), bounds(period.last, self.zone)[1]
        builder = SummaryBuilder(self.outcomes)
        before = arrived(self.engine, start, end)
        for rows in listing.report_rows(self.engine, start, end, CHUNK_ROWS, COUNTED):
            check()
            builder.add(with_shown(frame_of(rows, COUNTED), rows))
        frame = builder.frame(period.name, builder.settled(before, arrived(self.engine, start, end)))
        replace_file(path, [csv_files.header(frame), csv_files.body(frame)])
        self._record(period, now)
        return path

    def _written(self) -> dict[str, datetime]:
        """Return the times by name; none if the file is missing or cannot be read: all are written again."""
        path = self.state / FILE_NAME
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"expected schema_version {SCHEMA_VERSION}")
            return {
                name: datetime.fromisoformat(at).astimezone(UTC) for name, at in values["written"].items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning(
                "%s: cannot be read: %r; all summaries of months and years are written again", path, error
            )
            return {}

    def _record(self, period: Period, now: datetime) -> None:
        written = {**self._written(), period.name: now}
        times = {name: at.isoformat() for name, at in sorted(written.items())}
        text = json.dumps({"schema_version": SCHEMA_VERSION, "written": times}, indent=2) + "\n"
        replace_file(self.state / FILE_NAME, [text.encode()])
