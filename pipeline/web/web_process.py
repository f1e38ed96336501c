"""Run `pawsort serve` beside the worker, for `run --serve`: restarted when it ends, stopped with the worker.

The web process also ends when the worker is killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.child_failures import not_started
from pipeline.import_path import interpreter
from pipeline.processes import PARENT_VARIABLE, end

log = logging.getLogger(__name__)

BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
LONG_RUN_SECONDS = 60.0
"""A process that ran for so long before it ended is restarted after the shortest pause."""

STOP_SECONDS = 7.0
_TICK = 0.2


@contextlib.contextmanager
def pages_beside(config: Path) -> Iterator[None]:
    """Keep `pawsort serve` with this settings file running until the block ends."""
    web = WebProcess([*interpreter(), "serve", "--config", str(config)])
    try:
        yield
    finally:
        web.stop()


class WebProcess:
    """Start `command` in a thread of its own, and again each time it ends, with growing pauses."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._stopping = threading.Event()
        # The kernel counts the end of the thread that started a process as the death of its parent.
        self._thread = threading.Thread(target=self._run, name="pawsort-web-process", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the process; kill it if that takes longer than STOP_SECONDS."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS + 5)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - began > LONG_RUN_SECONDS else failures
            pause = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
            failures += 1
            how = f"ended with code {code}" if isinstance(code, int) else f"do not start: {code}"
            log.warning("the pages %s; starting them again in %g s", how, pause)
            self._stopping.wait(pause)

    def _run_once(self) -> int | str:
        """Run the process until it ends; return its exit code, or why it could not be started."""
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        try:
            # In a session of its own: Ctrl-C would end it while the worker still finishes its batch.
            process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        except OSError as error:
            return not_started(error)
        while not self._stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_TICK)
        return end(process, STOP_SECONDS)
