"""Write a report now, by the command `pawsort report` in a process of its own."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Sequence
from datetime import date

from pipeline.errors import LockError, PawsortError

WAIT_SECONDS = 20.0
"""How long a visitor waits for a report; a larger one goes on, and the page says so."""

LAST_WORDS = 400


class ReportWriter:
    """Run `command` for a day, at most once at a time; beside a worker's report it waits for its turn."""

    def __init__(self, command: Sequence[str], wait_seconds: float = WAIT_SECONDS) -> None:
        self._command = command
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def can_write(self) -> bool:
        """Whether there is a command: not in pages without a settings file."""
        return bool(self._command)

    @property
    def is_writing(self) -> bool:
        """Whether a report is being written."""
        return self._process is not None and self._process.poll() is None

    def write(self, day: date) -> bool:
        """Write the reports of `day`; return whether they are finished, after WAIT_SECONDS at most.

        Raises LockError if a report is being written, PawsortError if it cannot be.
        """
        with tempfile.TemporaryFile() as output:
            process = self._start(day, output.fileno())
            try:
                code = process.wait(self._wait_seconds)
            except subprocess.TimeoutExpired:
                return False
            if code:
                output.seek(0)
                said = output.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise PawsortError(
                    said.removeprefix("pawsort: ")[-LAST_WORDS:] or f"it ended with code {code}"
                )
            return True

    def close(self) -> None:
        """Leave a process that still runs to itself: it finishes its report."""
        with self._lock:
            if self._process and self._process.poll() is None:
                self._process.returncode = 0  # without it Python would warn of a process that still runs
            self._process = None

    def _start(self, day: date, output: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.is_writing:
                raise LockError("a report is being written already")
            if not self._command:
                raise PawsortError("these pages have no settings file; run `pawsort report` instead")
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    [*self._command, "--date", day.isoformat()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    start_new_session=True,  # so that Ctrl-C in the terminal of the pages does not end it
                )
            except OSError as error:
                raise PawsortError(f"`pawsort report` cannot be started: {error.strerror}") from error
            return self._process
