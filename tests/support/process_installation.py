"""An installation whose workers are processes of their own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

from tests.support.installation import Installation, wait

PATIENCE_SECONDS = float(os.environ.get("FAULTS_PATIENCE_SECONDS", "240"))
"""Much longer than anything takes: only a machine that is busy with other things comes near it."""


class ProcessInstallation(Installation):
    """Settings and empty inboxes: the worker makes the rest, as it does for a user."""

    busy_seconds = 0.2
    pause_seconds = 0.02
    """Between two looks at whether something has come true."""

    def prepare(self) -> None:
        """Make the inboxes."""
        for inbox in self.settings.inboxes:
            inbox.mkdir(exist_ok=True)

    def rows(self, columns: str, condition: str = "true") -> list[tuple[Any, ...]]:
        """Ask the view of results; nothing while a worker makes the database, or has locked it."""
        try:
            return super().rows(columns, condition)
        except sqlite3.OperationalError:
            return []

    def wait(self, done: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something has come true; fail with the end of the logs."""
        try:
            wait(done, what, seconds, self.pause_seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log[-3000:]}") from None

    def wait_until_filed(self, count: int | None = None, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all that was dropped, or `count` files, are in their folders and their rows say so."""
        goal = len(self.injected) if count is None else count
        self.wait(lambda: len(self.rows("id", "state = 'filed'")) >= goal, f"{goal} files", seconds)

    @property
    def log(self) -> str:
        """What all processes here have said."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.log")))
