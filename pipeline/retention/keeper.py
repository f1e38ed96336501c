"""Find what the settings `keep` let go, and delete it, each night or by a command, in small portions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from db.connection.postgres import owner_of
from db.ledger import retention
from db.schema.records import Entry
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.reports.calendar_days import day_of
from pipeline.retention.failed_files import deletable, delete
from pipeline.retention.old_reports import old_reports
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

PORTION = 200
"""Rows or files that are deleted in one transaction: some milliseconds, which the worker may wait."""

MOST = 20_000
"""Rows, and failed files, that are deleted in one night at most; the next nights do the rest."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was deleted, or would be: reports by their paths, failed files by their rows, and rows by id."""

    reports: Sequence[Path]
    failed: Sequence[Entry]
    rows: Sequence[int]

    def __str__(self) -> str:
        return (
            f"{len(self.reports)} reports, {len(self.failed)} files in failed/, "
            f"{len(self.rows)} rows of photos that are gone"
        )


class Keeper:
    """Applies the settings `keep` to the worker's own files.

    `everyone` sees those of all workers, None if there is one. `now` gives UTC.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        everyone: Engine | None = None,
    ) -> None:
        self._engine = engine
        self._everyone = everyone or engine
        self._worker = owner_of(engine)
        self._settings = settings
        self._now = now

    def plan(self) -> Gone:
        """Return what would be deleted. Raises OSError, DatabaseError."""
        failed = [entry for page in self._failed() for entry in page]
        before = self._rows_before()
        rows = retention.forgettable(self._everyone, self._worker, before, MOST) if before else []
        return Gone(self._reports(), failed[:MOST], rows)

    def apply(self, check: Callable[[], None] = lambda: None) -> Gone:
        """Delete it; return what was deleted. `check` is called between portions and may raise.

        Raises OSError, DatabaseError, LockError.
        """
        reports = self._reports()
        for path in reports:
            check()
            path.unlink(missing_ok=True)
        failed: list[Entry] = []
        for page in self._failed():
            check()
            if len(failed) >= MOST:
                break
            with moves_lock(self._settings):
                # Again, since a person may have moved one meanwhile.
                failed += delete(self._engine, deletable(self._settings, page), self._now)
        return Gone(reports, failed, self._forget(check))

    def _forget(self, check: Callable[[], None]) -> list[int]:
        if (before := self._rows_before()) is None:
            return []
        forgotten: list[int] = []
        # Once, since it reads the whole table.
        ids = retention.forgettable(self._everyone, self._worker, before, MOST)
        for start in range(0, len(ids), PORTION):
            check()
            portion = ids[start : start + PORTION]
            forgotten += retention.forget(self._everyone, self._worker, portion, before)
        return forgotten

    def _reports(self) -> list[Path]:
        days = self._settings.keep.reports_days
        if days is None:
            return []
        today = day_of(self._now(), self._settings.report.zone)
        return old_reports(self._settings.reports, today, days)

    def _failed(self) -> Iterator[list[Entry]]:
        """Yield pages of the files in failed/ that may go."""
        days, last = self._settings.keep.failed_days, 0
        while days is not None:
            before = self._now() - timedelta(days=days)
            page = retention.failed_before(self._engine, before, last, PORTION)
            if not page:
                return
            last = page[-1].id
            yield deletable(self._settings, page)

    def _rows_before(self) -> datetime | None:
        """Return the moment before which rows may go; none goes that no report counts yet."""
        days, reported = self._settings.keep.rows_days, retention.last_report_at(self._engine)
        return None if days is None or reported is None else min(self._now() - timedelta(days=days), reported)


@dataclass(frozen=True, slots=True)
class NightlyKeeper:
    """Nightly work: apply the settings `keep`; see `nightly.schedule`."""

    engine: Engine
    settings: Settings
    everyone: Engine | None = None

    def run_due(self, now: datetime, check: Callable[[], None]) -> None:
        """Delete what is due at `now`. Raises as `Keeper.apply`."""
        gone = Keeper(self.engine, self.settings, lambda: now, self.everyone).apply(check)
        if gone.reports or gone.failed or gone.rows:
            log.info("deleted as `keep` says: %s", gone)
