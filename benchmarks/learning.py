"""Measure how much of its rate the worker keeps while a process of the lowest priority learns."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.throughput import filing_rate
from pipeline.import_path import interpreter
from pipeline.learning.nightly import NICENESS

WINDOW_SECONDS = 4.0
"""Learning is stopped and continued in turn, so that other programs disturb both sides alike."""

Change = tuple[datetime, bool]
"""A moment from which learning goes on, or pauses."""


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the worker's rate in windows with and without learning, and their ratio.

    Most of the work of learning is to run the network on the judged photos; so does the process here, on all
    cores and without end, with the priority of nightly learning.
    """
    photos.make(folder / "judged", 200, photos.SMALL)
    worker = folder / "worker"
    with _busy(folder / "judged") as group, ThreadPoolExecutor(1) as pool:
        filing = pool.submit(apart, filing_rate, worker, count, photos.SMALL)
        changes = _alternate(group, filing.done)
        filing.result()
    beside, alone = (_rate(worker / "state" / "pawsort.db", changes, learns) for learns in (True, False))
    return {
        "worker alone, photos/s": round(alone, 1),
        "worker beside learning, photos/s": round(beside, 1),
        "worker beside learning / alone": round(beside / alone, 3),
    }


def _alternate(group: int, is_done: Callable[[], bool]) -> list[Change]:
    changes: list[Change] = []
    while not is_done():
        learns = len(changes) % 2 == 0
        os.killpg(group, signal.SIGCONT if learns else signal.SIGSTOP)
        changes.append((datetime.now(UTC), learns))
        time.sleep(WINDOW_SECONDS)
    return changes


def _rate(database: Path, changes: Sequence[Change], learns: bool) -> float:
    """Return photos a second in the windows of one kind that lie whole within the filing."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT filed_at FROM files WHERE filed_at IS NOT NULL ORDER BY 1"
        ).fetchall()
    filed = [datetime.fromisoformat(at).replace(tzinfo=UTC) for (at,) in rows]
    starts = [begin for begin, _ in changes]
    windows = [
        (begin, end)
        for (begin, kind), end in zip(changes, starts[1:], strict=False)
        if kind == learns and filed[0] <= begin and end <= filed[-1]
    ]
    seconds = sum((end - begin).total_seconds() for begin, end in windows)
    if not seconds:
        raise SystemExit(f"filed in too few windows of {WINDOW_SECONDS:g} s: give --photos 6000 or more")
    return sum(begin < at <= end for at in filed for begin, end in windows) / seconds


@contextlib.contextmanager
def _busy(folder: Path) -> Iterator[int]:
    """Classify photos over and over in a process group of low priority, in this session as the worker's."""
    words = shlex.join([*interpreter(NICENESS), "classify", str(folder), "--json"])
    loop = f"while kill -0 {os.getpid()}; do {words}; done"  # it ends with this process, however that ends
    process = subprocess.Popen(["sh", "-c", f"{loop} >/dev/null 2>&1"], process_group=0)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
