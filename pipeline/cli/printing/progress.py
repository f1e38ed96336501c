"""Show progress on stderr: a bar on a terminal, otherwise only lines of the log."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.logs import LineHandler

if TYPE_CHECKING:
    from rich.progress import TaskID

    from models.progress import Progress
    from pipeline.worker.steps.held_file import InProgressFile

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def filing_progress(*, show: bool) -> Iterator[Callable[[Sequence[InProgressFile]], None]]:
    """Yield a function to call with each filed batch; with `show`, a bar counts the files."""
    if not show or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} filed"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar, _log_above(console.print):
        task = bar.add_task("filing", total=None)
        yield lambda filed: bar.advance(task, len(filed))


@contextmanager
def counting_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the numbers of done and of all items."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as bar, _log_above(console.print):
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _log_above(write: Callable[..., None]) -> Iterator[None]:
    """Send the log through the console that draws the bar, so that neither overwrites the other."""
    root = logging.getLogger()
    before = root.handlers[:]
    handler = LineHandler(
        lambda line: write(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
    )
    handler.setFormatter(before[0].formatter if before else None)
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = before


@contextmanager
def training_progress() -> Iterator[Callable[[Progress], None]]:
    """Yield a function to call with the progress of a training; logs lines if there is no terminal."""
    if not sys.stderr.isatty():
        yield ProgressLog()
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, transient=True) as bar, _log_above(console.print):
        tasks: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage, total=progress.total)
            bar.update(tasks[progress.stage], completed=progress.done)
            if progress.metrics:
                _log_progress(progress)

        yield show


class ProgressLog:
    """Log the progress of a training: each epoch, each end of a stage, and a line a minute in between.

    `monotonic` gives seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._last = monotonic, monotonic()

    def __call__(self, progress: Progress) -> None:
        """Log it if it is due."""
        now = self._monotonic()
        if progress.metrics or progress.done == progress.total or now >= self._last + _SECONDS_BETWEEN_LINES:
            self._last = now
            _log_progress(progress)


def _log_progress(progress: Progress) -> None:
    metrics = "".join(f", {name} {value:.4f}" for name, value in (progress.metrics or {}).items())
    left = f", {math.ceil(progress.seconds_left / 60)} min left" if progress.seconds_left else ""
    log.info("%s: %d of %d%s%s", progress.stage, progress.done, progress.total, left, metrics)
