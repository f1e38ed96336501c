"""The reports of a worker: each written for the folders of the model that is in force then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time

from sqlalchemy import Engine

from db.connection.errors import DatabaseError
from models.bundle.bundle import Bundle
from pipeline.classifier.configured_model import load_bundle, outcome_folders
from pipeline.office import office_process
from pipeline.reports.daily import DayReport, Reporter
from pipeline.settings.config import Settings
from pipeline.worker.loop import Worker

log = logging.getLogger(__name__)


def reporter(
    settings: Settings,
    engine: Engine,
    bundle: Bundle | None = None,
    on_written: Callable[[DayReport], None] = lambda _: None,
) -> Reporter:
    """Return the reporter that the settings describe, for the folders of a bundle (None: that in force).

    `on_written` is called with each report. Raises ModelError.
    """
    outcomes = outcome_folders(bundle or load_bundle(settings))
    at = time.fromisoformat(settings.report.at)
    zone, office = settings.report.zone, office_process.office_of(settings)
    return Reporter(engine, settings.reports, zone, at, outcomes, settings.state, office, on_written)


@dataclass(frozen=True, slots=True)
class WorkersReporter:
    """Nightly work: write the due reports, each time with the folders of the model that the worker has then.

    `on_written` is called with those that were written at one time.
    """

    settings: Settings
    engine: Engine
    worker: Worker
    on_written: Callable[..., None]

    def run_due(self, now: datetime, check: Callable[[], None]) -> None:
        """Write what is due at `now`; `check` may stop it. Raises as `Reporter.write_due`."""
        written: list[DayReport] = []
        writer = reporter(self.settings, self.engine, self.worker.bundle, written.append)
        try:
            if days := writer.write_due(now, check):
                log.info("wrote reports of %d days, the last of %s", len(days), max(days))
        finally:
            self.on_written(*written)


def report_so_far(writer: Reporter) -> None:
    """Write the missed reports and today's so far; a failure is only logged."""
    now = datetime.now(UTC)
    today = now.astimezone(writer.zone).date()
    try:
        writer.write_due(now)
        writer.write_range(today, today, now)
    except (OSError, DatabaseError) as error:
        log.error("reports: %s; `pawsort report` tries again", error)
