"""Measure how fast photos are copied and linked, beside `cp` and the worker that moves; one file system."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.throughput import filing_rate

Cost = tuple[float, float]
"""Seconds of the clock and of core time, for a photo."""


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return ratios of speeds, above 1 where the action is faster, by the clock and by core time."""
    source = folder / "photos"
    (folder / "again").mkdir()
    photos.make(source, count)
    copying = apart(_cp, source, folder / "move" / "inbox", count)
    first = _filed(folder, source, count, "move")
    costs = {action: _filed(folder, source, count, action) for action in ("copy", "hardlink", "symlink")}
    source.rename(folder / "again" / "inbox")
    last = apart(filing_rate, folder / "again", count, photos.SMALL)
    moving = (first[0] + 1 / last[0]) / 2, (first[1] + last[1]) / 2  # the machine may have changed meanwhile
    by_hand = (copying[0] + moving[0], copying[1] + moving[1])
    return {
        "cp, s for 1,000 photos": round(1000 * copying[0], 2),
        "worker with move, s for 1,000 photos": round(1000 * moving[0], 2),
        "copy / cp and then move": round(by_hand[0] / costs["copy"][0], 3),
        "copy / cp and then move, core time": round(by_hand[1] / costs["copy"][1], 3),
        **{
            f"{action} / move{name}": round(moving[at] / costs[action][at], 3)
            for action in ("hardlink", "symlink")
            for at, name in enumerate(("", ", core time"))
        },
    }


def _filed(folder: Path, source: Path, count: int, action: str) -> Cost:
    place = folder / action
    place.mkdir(exist_ok=True)
    if not (place / "inbox").exists():
        source.rename(place / "inbox")
    rate, cores = apart(filing_rate, place, count, photos.SMALL, action)
    if action != "move":
        (place / "inbox").rename(source)
    return 1 / rate, cores


def _cp(source: Path, target: Path, count: int) -> Cost:
    target.parent.mkdir(exist_ok=True)
    began, before = time.perf_counter(), _core_seconds()
    subprocess.run(["cp", "--archive", source, target], check=True)
    return (time.perf_counter() - began) / count, (_core_seconds() - before) / count


def _core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
