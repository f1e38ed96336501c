"""The files that are not filed yet: the step that each is in, their counts, and the worker's health."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.watch.inbox import Inbox, InboxStatus
from pipeline.worker.heartbeat import Health
from pipeline.worker.steps.claim import ClaimStep
from pipeline.worker.steps.classify import ClassifyStep
from pipeline.worker.steps.held_file import MissingFiles, RetryQueue
from pipeline.worker.steps.intake import Intake
from pipeline.worker.steps.place import PlaceStep

MOST_RETRIES = 10_000
"""Claimed files that may wait for a retry; then no more are claimed, so that they do not fill the spool."""

MOST_FOLDERS = 5
"""Folders that refuse files which the health names at most; the log names all."""

LONG_WAL_BYTES = 256 << 20
"""A -wal this large means that a reader prevents SQLite from reusing it; usually it has some 4 MB."""


class InFlight(NamedTuple):
    """The steps that a file takes, with counts of the files in them."""

    inboxes: Sequence[Inbox]
    intake: Intake
    claim: ClaimStep
    classify: ClassifyStep
    place: PlaceStep
    retries: RetryQueue
    missing_files: MissingFiles

    @property
    def in_steps(self) -> int:
        """How many files are claimed and not filed, without those to retry."""
        return self.claim.held + self.classify.held + self.place.held

    @property
    def held(self) -> int:
        """How many files are claimed and not filed."""
        return self.in_steps + len(self.retries)

    @property
    def waiting(self) -> int:
        """How many known files in inboxes and spool are not filed."""
        return self.held + self.intake.held + sum(status.settling for status in self._statuses)

    @property
    def left(self) -> int:
        """How many files wait: being written to, put back by `undo`, not movable, or without their photo."""
        return len(self.retries) + sum(status.resting for status in self._statuses)

    @property
    def missing(self) -> int:
        """How many claimed files are gone from the spool."""
        return len(self.missing_files)

    @property
    def stuck(self) -> int:
        """How many files and folders of the inboxes may not be read, moved or listed."""
        return sum(status.refused + status.unlisted for status in self._statuses)

    @property
    def refused(self) -> int:
        """How many files wait because their inbox or their folder refuses them."""
        return self.stuck + len(self.place.refusals)

    @property
    def full(self) -> bool:
        """Whether so many files are to be retried that no more may be claimed."""
        return len(self.retries) >= MOST_RETRIES

    @property
    def idle(self) -> bool:
        """Whether every file is filed, except those to retry."""
        seen = self.full or all(_is_scanned(status) for status in self._statuses)
        return seen and not self.in_steps and not self.intake.held

    @property
    def unreachable(self) -> bool:
        """Whether an inbox is missing, so that its files are unknown."""
        return any(status.state == "missing" for status in self._statuses)

    @property
    def _statuses(self) -> list[InboxStatus]:
        return [inbox.status() for inbox in self.inboxes]

    def health(
        self,
        trouble: str | None,
        report_problem: str | None,
        wal_bytes: int,
        model_problem: str | None = None,
    ) -> tuple[Health, tuple[str, ...]]:
        """Return the worker's health, with a reason for each problem.

        Red: there is `trouble`, the classifier crashes again and again, an inbox or a file is missing, or a
        folder refuses files. Degraded: it
        goes on, but more slowly or without some files.
        """
        statuses = self._statuses
        red = [problem for problem in (trouble, self.classify.crash_loop) if problem]
        red += [f"{s.path}: {s.note}" for s in statuses if s.state == "missing"]
        red += self.place.refusals.reasons[:MOST_FOLDERS]
        if self.missing:
            red.append(f"{self.missing} files are gone from the spool; see `pawsort doctor`")
        degraded = [f"{s.path}: {s.note}" for s in statuses if s.degraded and s.state != "missing"]
        degraded += [refusal for status in statuses for refusal in status.refusals[:MOST_FOLDERS]]
        degraded += [f"{s.path}: some folders cannot be listed; see the log" for s in statuses if s.unlisted]
        if report_problem:
            degraded.append(f"reports: {report_problem}")
        if model_problem:
            degraded.append(model_problem)
        if wal_bytes > LONG_WAL_BYTES:
            grown = f"the database's -wal has grown to {wal_bytes >> 20} MB"
            degraded.append(f"{grown}: some program has been reading for long; end it")
        health: Health = "red" if red else "degraded" if degraded else "ok"
        return health, (*red, *degraded)


def _is_scanned(inbox: InboxStatus) -> bool:
    """Return whether an inbox was scanned and none of its files is about to settle."""
    return inbox.state == "missing" or bool(inbox.scans and not inbox.scanning and not inbox.settling)
