"""A program kept running beside the worker, for `run --serve`: started again when it ends, ended with it.

`main` is that program, with the arguments `PARENT serve --config PATH`. It ends with its parent, whatever
ends that.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.import_path import FOLDER, safe

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
LONG_LIFE_SECONDS = 60.0
"""Who lived that long before it ended is started again soon."""

STOP_SECONDS = 7.0
_TICK = 0.2
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def pages_beside(config: Path) -> Iterator[None]:
    """Keep `pawsort serve` with this settings file running until the block ends."""
    companion = Companion([*_interpreter(), str(os.getpid()), "serve", "--config", str(config.absolute())])
    try:
        yield
    finally:
        companion.stop()


class Companion:
    """Starts `command` in a thread of its own, and again each time it ends, later and later."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._stopping = threading.Event()
        # The kernel counts the end of the thread that started a process as the death of its parent.
        self._thread = threading.Thread(target=self._keep, name="pawsort-companion", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the program, with force if it takes longer than STOP_SECONDS."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS + 5)

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._live()
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - began > LONG_LIFE_SECONDS else failures
            pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
            failures += 1
            log.warning("the pages ended with code %s; starting them again in %g s", code, pause)
            self._stopping.wait(pause)

    def _live(self) -> int | str:
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command
        except OSError as error:
            return str(error)
        while not self._stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_TICK)
        return _end(process)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _interpreter() -> list[str]:
    """Return the command that runs `main` with the import path of this process, installed or not."""
    path = safe(sys.path, FOLDER, set())
    # -P keeps the working folder off the path until the first statement replaces the path.
    program = f"import sys; sys.path[:] = {path!a}; from {__name__} import main; main()"
    return [sys.executable, "-P", "-c", program]


def main() -> None:
    """Tie this process's life to its parent's, then run the command."""
    parent = int(sys.argv.pop(1))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the line above
        return
    from pipeline.cli.app import main as run

    run()
