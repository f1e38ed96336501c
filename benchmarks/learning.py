"""Measure how much of its rate the worker keeps while a process of the lowest priority learns."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.throughput import filing_rate
from pipeline.import_path import interpreter
from pipeline.learning.nightly import NICENESS


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the worker's rate alone, beside learning, and alone again, and their ratio.

    Most of the work of learning is to run the network on the judged photos; so does the process here, on all
    cores and without end, with the priority of nightly learning.
    """
    photos.make(folder / "judged", 200, photos.SMALL)
    before = _rate(folder / "before", count)
    with _busy(folder / "judged"):
        beside = _rate(folder / "beside", count)
    after = _rate(folder / "after", count)
    alone = (before + after) / 2
    return {
        "worker alone, photos/s": round(alone, 1),
        "worker beside learning, photos/s": round(beside, 1),
        "worker beside learning / alone": round(beside / alone, 3),
        "worker alone, before / after": round(before / after, 3),
    }


def _rate(folder: Path, count: int) -> float:
    rate: float = apart(filing_rate, folder, count, photos.SMALL)[0]
    return rate


@contextlib.contextmanager
def _busy(folder: Path) -> Iterator[None]:
    """Classify photos over and over in processes of low priority, in this session as the worker's."""
    words = shlex.join([*interpreter(NICENESS), "classify", str(folder), "--json"])
    loop = f"while kill -0 {os.getpid()}; do {words}; done"  # it ends with this process, however that ends
    process = subprocess.Popen(["sh", "-c", f"{loop} >/dev/null 2>&1"], process_group=0)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
