"""Start learning in a process of its own, and tell how it stands."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import LockError, PawsortError
from pipeline.learning import learn_status
from pipeline.learning.learn_status import LearnState, LearnStatus

LOG = "learn.log"  # in the state folder: what the process printed
LAST_WORDS = 400
NICENESS = 10
"""Beside a worker that needs all processors it gets a tenth of them, so that it ends within the hour."""


class LearningProcess:
    """Run `command` at most once at a time; it goes on when the pages end, and its state lies in files."""

    def __init__(self, state: Path, command: Sequence[str]) -> None:
        self._state = state
        self._command = command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = datetime.now(UTC)

    @property
    def can_start(self) -> bool:
        """Whether there is a command: not in pages without a settings file."""
        return bool(self._command)

    def start(self) -> None:
        """Start it. Raises LockError if something is being learnt, PawsortError if it cannot be started."""
        with self._lock:
            if self._is_alive() or learn_status.is_learning(self._state):
                raise LockError("something is being learnt already")
            if not self._command:
                raise PawsortError("these pages have no settings file; run `pawsort learn` instead")
            self._started_at = datetime.now(UTC)
            try:
                with open(self._log, "wb", opener=_private) as output:
                    self._process = subprocess.Popen(  # noqa: S603 - our own command
                        self._command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,  # so that Ctrl-C in the terminal of the pages does not end it
                    )
            except OSError as error:
                raise PawsortError(f"learning cannot be started: {error.strerror}") from error
            _lower_session(self._process.pid)

    def status(self) -> LearnStatus | None:
        """Return the state of the last learning, also of one that a command started; None without one."""
        with self._lock:
            alive, process, started = self._is_alive(), self._process, self._started_at
        found = learn_status.read(self._state)
        if process is None or (found and found.started_at >= started):
            return found
        # The process has not written anything: it is still starting, or it ended before it could.
        status = LearnStatus(process.pid, "running", started, datetime.now(UTC))
        if alive:
            return status
        state: LearnState = "done" if process.returncode == 0 else "failed"
        reason = self._last_words() or f"it ended with code {process.returncode}"
        return LearnStatus(process.pid, state, started, started, reason=None if state == "done" else reason)

    def close(self) -> None:
        """Leave a process that still runs to itself: it goes on, and init waits for it."""
        with self._lock:
            if self._process and self._process.poll() is None:
                self._process.returncode = 0  # without it Python would warn of a process that still runs
            self._process = None

    @property
    def _log(self) -> Path:
        return self._state / LOG

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), open(self._log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
            return said[-1].removeprefix("pawsort: ")[-LAST_WORDS:] if said else ""
        return ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _lower_session(pid: int) -> None:
    """Lower the priority of the session of a process: some kernels compare that before those within it."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as group:
        group.write(str(NICENESS))
