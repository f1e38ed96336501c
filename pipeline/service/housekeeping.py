"""Nightly work beside reports and learning: backups, and what is deleted after some days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from pathlib import Path

from sqlalchemy import Engine

from pipeline.backup.scheduled import BackupWriter
from pipeline.nightly.schedule import Schedule
from pipeline.retention.keeper import NightlyKeeper
from pipeline.service.shared_ledger import OnReporter, SharedLedger
from pipeline.settings.config import Settings


class Housekeeping:
    """Nightly work, each kind in a thread of its own, by its name in the log and in the worker's health."""

    def __init__(self, schedules: dict[str, Schedule]) -> None:
        self._schedules = schedules

    @classmethod
    def of(
        cls,
        settings: Settings,
        engine: Engine,
        config: Path | None,
        shared: SharedLedger,
        everyone: Engine | None = None,
    ) -> Housekeeping:
        """Return what the settings ask for; without their file, `config`, there are no backups.

        The database is backed up by the worker that reports, and each deletes what is its own: `engine` has
        the worker's own files, `everyone` those of all.
        """
        found: dict[str, Schedule] = {}
        zone = settings.report.zone
        if settings.backup.at and config is not None:
            at = time.fromisoformat(settings.backup.at)
            work = OnReporter(BackupWriter(settings, config, at), shared)
            found["backup"] = Schedule(work, at, zone, "backup")
        keep = settings.keep
        if any(days is not None for days in (keep.reports_days, keep.rows_days, keep.failed_days)):
            at = time.fromisoformat(settings.report.at)
            found["keep"] = Schedule(NightlyKeeper(engine, settings, everyone), at, zone, "keep")
        return cls(found)

    @property
    def notes(self) -> Sequence[str]:
        """What could not be done the last time, and why."""
        return [f"{name}: {problem}" for name in self._schedules if (problem := self.problem_of(name))]

    def problem_of(self, name: str) -> str | None:
        """Return why this kind of work could not be done the last time, None if it could."""
        schedule = self._schedules.get(name)
        return schedule.agenda.problem if schedule else None

    def start(self) -> None:
        """Start to wait for the times; what was missed is done at once."""
        for schedule in self._schedules.values():
            schedule.start()

    def follow_clock(self) -> None:
        """Notice a clock that was set back."""
        for schedule in self._schedules.values():
            schedule.follow_clock()

    def stop(self) -> None:
        """Stop; what is not finished is done after the next start."""
        for schedule in self._schedules.values():
            schedule.stop()
