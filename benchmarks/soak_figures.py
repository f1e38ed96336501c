"""Measure a soak while it runs, and check its result."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.connection.engine import open_database
from pipeline.doctor import check
from pipeline.settings.config import Settings
from pipeline.worker import heartbeat
from tests.support.oracle import counted, files_below

if TYPE_CHECKING:
    from benchmarks.soak_files import Dropper

_EVERY_SECONDS = 5.0
_GROWN_UP_SECONDS = 15.0
"""A life younger than this has not come to rest yet."""
_ENDS = 12
"""Samples at the start and at the end whose median is given."""


class Samples:
    """Memory (MB) and open descriptors of worker and child, every five seconds."""

    def __init__(self) -> None:
        self._under_fire: list[dict[str, float]] = []
        self._in_calm: list[dict[str, float]] = []
        self._now = self._under_fire
        self._last = 0.0
        self._silent = 0

    def calm(self) -> None:
        """From now on, one life lasts."""
        self._now = self._in_calm

    def take(self, pid: int, age: float, settings: Settings) -> None:
        """Look at a worker that is `age` seconds old."""
        if age < self._last:
            self._last = 0.0
        if age < _GROWN_UP_SECONDS or age - self._last < _EVERY_SECONDS:
            return
        self._last = age
        with contextlib.suppress(OSError):  # it has just ended
            self._now.append(_look(pid))
        beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
        self._silent += beat is None or beat.pid != pid

    def figures(self) -> dict[str, Any]:
        """Return the median of each figure at the start and at the end, and the largest."""
        return {
            "lives": _ends(self._under_fire),
            "calm_life": _ends(self._in_calm),
            "looks_without_heartbeat": self._silent,
        }


def _look(pid: int) -> dict[str, float]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {
        "worker_mb": _rss(pid),
        "worker_descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "children_mb": sum(_rss(int(child)) for child in children),
        "children": len(children),
    }


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _ends(samples: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    if not samples:
        return {}
    return {
        name: {
            "start": round(statistics.median(s[name] for s in samples[:_ENDS]), 1),
            "end": round(statistics.median(s[name] for s in samples[-_ENDS:]), 1),
            "most": round(max(s[name] for s in samples), 1),
        }
        for name in samples[0]
    }


def verdict(settings: Settings, dropper: Dropper) -> dict[str, Any]:
    """Ask the oracle and doctor; `well` if each file is there once, with one row, in the right folder."""
    try:
        counted(settings, dropper.expected)
        complaint = None
    except AssertionError as error:
        complaint = str(error)
    found = _digests(settings)
    rows = _rows(settings)
    failed = {sha256 for outcome, _, sha256 in rows if outcome == "failed"}
    engine = open_database(settings.database_url, "read")
    try:
        problems = [str(problem) for problem in check.examine(engine, settings, hashes=True)]
    finally:
        engine.dispose()
    figures = {
        "lost": (dropper.expected - found).total(),
        "doubled": (found - dropper.expected).total(),
        "rows": len(rows),
        "innocent_failed": len(failed - dropper.bad),
        "poison_not_failed": len(dropper.bad - failed),
        "doctor": problems[:20],
        "oracle": complaint,
    }
    well = not (complaint or problems or figures["innocent_failed"] or figures["poison_not_failed"])
    return {"well": well, **figures}


def _digests(settings: Settings) -> Any:
    from collections import Counter

    from pipeline.files.copy import sha256

    return Counter(map(sha256, files_below(*settings.inboxes, settings.spool, settings.sorted)))


def _rows(settings: Settings) -> list[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(settings.state / "pawsort.db")) as database:
        return database.execute("SELECT outcome, state, sha256 FROM results").fetchall()
