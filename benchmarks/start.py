"""Measure the first and later starts until a photo is filed, and short commands."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks import photos

_DOOR = Path(__file__).parents[1] / "run_worker.py"
COMMANDS = {"status": ["status"], "query": ["query", "--limit", "20"]}


def measure(folder: Path, count: int) -> dict[str, float]:
    """Start a worker on one photo with nothing kept from earlier, then on another; `count` is left aside."""
    (folder / "config.yaml").write_text("", encoding="utf-8")
    figures = {}
    for number, name in enumerate(("first start", "second start")):
        (content,) = _one_photo(folder, number)
        (folder / "inbox").mkdir(exist_ok=True)
        (folder / "inbox" / f"{number}.jpg").write_bytes(content)
        began = time.time()
        _, cores = _run(folder, ["run", "--once"])
        with sqlite3.connect(folder / "state" / "pawsort.db") as database:
            ((filed,),) = database.execute("SELECT filed_at FROM files WHERE name = ?", (f"{number}.jpg",))
        figures[f"{name}, until the photo is filed, s"] = datetime.fromisoformat(filed).timestamp() - began
        figures[f"{name}, core time of all it does, s"] = cores
    for name, words in COMMANDS.items():
        wall, cores = _run(folder, words)
        figures |= {f"`{name}`, s": wall, f"`{name}`, core time, s": cores}
    return {name: round(value, 2) for name, value in figures.items()}


def _one_photo(folder: Path, number: int) -> list[bytes]:
    (path, *_) = photos.make(folder / f"photo{number}", 2)[number:]
    return [Path(os.fsdecode(path)).read_bytes()]


def _run(folder: Path, words: Sequence[str]) -> tuple[float, float]:
    """Run a command to its end; return seconds of the wall's time and of core time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, str(_DOOR), *words, "--config", str(folder / "config.yaml")],
        check=True, capture_output=True, env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
    )  # fmt: skip
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
