"""The lock of learning, and its state: `state/learn_progress.json`, which the pages read.

The process that learns writes it about every second and at the end. It is not synced to disk.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from models import regular_files
from models.progress import Progress
from pipeline.errors import PawsortError
from pipeline.files.exclusive_lock import exclusive
from pipeline.files.replace_file import replace_file
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

LOCK = "learn.lock"  # in the state folder, as the next
FILE_NAME = "learn_progress.json"
LOCK_SECONDS = 0.5
"""A page takes the lock for an instant to test it; that must not stop a learning."""
SCHEMA_VERSION = 1
SECONDS_BETWEEN_WRITES = 1.0
LARGEST = 100_000  # bytes

LearnState = Literal["running", "done", "failed", "stopped"]

ENDED_SILENTLY = "it ended without saying why: it was killed, or the memory was full"


@dataclass(frozen=True, slots=True)
class LearnStatus:
    """What the process that learns last wrote; moments are aware.

    `stage`, `done`, `total` and `seconds_left` are those of its `Progress`; `version` is the number of what
    was learnt, and `reason` says why it failed or stopped.
    """

    pid: int
    state: LearnState
    started_at: datetime
    at: datetime
    stage: str | None = None
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    version: int | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, moments as ISO 8601."""
        values = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        return values | {"started_at": self.started_at.isoformat(), "at": self.at.isoformat()}


class Reporter:
    """Write the progress of a learning; called with each `Progress`. `clock` counts seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        now = datetime.now(UTC)
        self._path, self._clock, self._written = path, clock, float("-inf")
        self._status = LearnStatus(os.getpid(), "running", now, now)
        self._write()

    def __call__(self, progress: Progress) -> None:
        """Note the progress."""
        self._status = replace(
            self._status,
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            seconds_left=progress.seconds_left,
        )
        if self._clock() >= self._written + SECONDS_BETWEEN_WRITES:
            self._write()

    def made(self, version: int) -> None:
        """Note the number of what was learnt."""
        self._status = replace(self._status, version=version)

    def end(self, state: LearnState, reason: str | None = None) -> None:
        """Write how it ended."""
        self._status = replace(self._status, state=state, reason=reason)
        self._write()

    def _write(self) -> None:
        self._written = self._clock()
        text = json.dumps(replace(self._status, at=datetime.now(UTC)).as_dict(), indent=2) + "\n"
        try:
            replace_file(self._path, [text.encode()], durable=False)
        except OSError as error:  # the learning itself may go on
            log.warning("%s: the progress cannot be written: %s", self._path, error.strerror)


@contextmanager
def learning(settings: Settings) -> Iterator[None]:
    """Allow one process at a time to learn. Raises LockError if another does."""
    problem = f"{settings.state}: another process is learning; try again when it has ended"
    with exclusive(settings.state / LOCK, LOCK_SECONDS, problem):
        yield


@contextmanager
def reporting(state: Path) -> Iterator[Reporter]:
    """Write the progress of a learning to the state folder, and at its end whether and why it failed.

    Used within `learning`, so that one process at a time writes.
    """
    reporter = Reporter(state / FILE_NAME)
    try:
        yield reporter
    except PawsortError as error:
        reporter.end("failed", str(error))
        raise
    except (KeyboardInterrupt, SystemExit):
        reporter.end("stopped", "it was stopped by a signal")
        raise
    except BaseException as error:
        reporter.end("failed", f"unexpected error, a defect of Pawsort: {type(error).__name__}: {error}")
        raise
    reporter.end("done")


def read(state: Path) -> LearnStatus | None:
    """Return the state of the last learning, None if there was none. Raises OSError."""
    found = _read(state / FILE_NAME)
    if found is None or found.state != "running" or is_learning(state):
        return found
    found = _read(state / FILE_NAME)  # it may have ended between the two looks above
    if found is None or found.state != "running":
        return found
    return replace(found, state="stopped", reason=ENDED_SILENTLY)


def is_learning(state: Path) -> bool:
    """Return whether a process holds the lock of `learning`. Raises OSError."""
    try:
        descriptor = os.open(state / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read(path: Path) -> LearnStatus | None:
    try:
        values = dict(json.loads(regular_files.read(path, LARGEST)))
        if (version := values.pop("schema_version")) != SCHEMA_VERSION:
            raise ValueError(f"expected schema_version {SCHEMA_VERSION}, received {version!r}")
        moments = {name: datetime.fromisoformat(values[name]) for name in ("started_at", "at")}
        return LearnStatus(**values | moments)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        log.warning("%s: is not a state of learning of this version: %r", path, error)
        return None
