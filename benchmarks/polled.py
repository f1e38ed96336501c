"""Compare the rate of a worker in intervals with and without visitors who have its pages open."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import photos
from benchmarks.visits import PATIENCE_SECONDS, ROOT, serving, visit

PAIRS = 5
SECONDS = 20.0
"""Of one interval; a batch of 64 is a small part of what is filed in it."""

PAUSE_SECONDS = 1.0
"""Between intervals, so that what one began does not end in the other."""

BACKLOG = 2500
"""Photos that wait at any time, so that the worker is never idle."""

KINDS = 200

Moment = tuple[datetime, datetime]


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return photos filed a second with the pages left alone and with three visitors, and how they compare.

    `count` photos are filed before, so that there is something to see on the pages.
    """
    (folder / "inbox").mkdir()
    (folder / "config.yaml").write_text("watch: {settle_seconds: 0}\n", encoding="utf-8")
    database = folder / "state" / "pawsort.db"
    stop = threading.Event()
    with _dropping(folder, database, stop), _working(folder), serving(folder) as port:
        _until(lambda: _filed(database) >= count, "the first photos to be filed")
        alone, visited = [], []
        for _ in range(PAIRS):
            alone.append(_interval(lambda _: None, port))
            visited.append(_interval(_visitors, port))
        stop.set()
    before, during = ([_rate(database, part) for part in parts] for parts in (alone, visited))
    kept = [with_them / without for with_them, without in zip(during, before, strict=True)]
    return {
        "alone_per_second": round(statistics.median(before), 1),
        "visited_per_second": round(statistics.median(during), 1),
        "rate_kept": round(statistics.median(kept), 3),
        "rate_kept_least": round(min(kept), 3),
        "rate_kept_most": round(max(kept), 3),
    }


def _interval(begin: Callable[[int], contextlib.AbstractContextManager[None] | None], port: int) -> Moment:
    with begin(port) or contextlib.nullcontext():
        time.sleep(PAUSE_SECONDS)
        began = datetime.now(UTC)
        time.sleep(SECONDS)
        return began, datetime.now(UTC)


@contextlib.contextmanager
def _visitors(port: int) -> Iterator[None]:
    """Three people: each has Today open; one reviews, one leafs through Browse, both with their pictures."""
    stop = threading.Event()
    people = (
        (3.0, lambda: visit(port, "/today/now")), (3.0, lambda: visit(port, "/today/now")),
        (3.0, lambda: visit(port, "/today/now")),
        (5.0, lambda: _with_pictures(port, "/review")), (10.0, lambda: _with_pictures(port, "/browse")),
    )  # fmt: skip
    threads = [threading.Thread(target=_again, args=(*each, stop)) for each in people]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _again(seconds: float, ask: Callable[[], object], stop: threading.Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        ask()
        stop.wait(seconds - (time.monotonic() - began))


def _with_pictures(port: int, address: str) -> None:
    _, page = visit(port, address)
    for picture in sorted(set(re.findall(rb"/pictures/\d+/(?:small|large)", page))):
        with contextlib.suppress(RuntimeError):  # moved in this moment
            visit(port, picture.decode())


@contextlib.contextmanager
def _working(folder: Path) -> Iterator[None]:
    """Run a real worker."""
    line = [sys.executable, str(ROOT / "run_worker.py"), "--config", str(folder / "config.yaml")]
    worker = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)


@contextlib.contextmanager
def _dropping(folder: Path, database: Path, stop: threading.Event) -> Iterator[None]:
    """Keep BACKLOG photos waiting, each of a content of its own."""
    thread = threading.Thread(target=_drop, args=(folder, database, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _drop(folder: Path, database: Path, stop: threading.Event) -> None:
    pictures = [photos.picture(number) for number in range(KINDS)]
    hidden = folder / "next.part"
    dropped = 0
    while not stop.wait(0.2):
        for number in itertools.islice(itertools.count(dropped), BACKLOG - (dropped - _filed(database))):
            # What stands behind the end of a JPEG changes its hash, and nothing that is seen.
            hidden.write_bytes(pictures[number % KINDS] + b"%d" % number)
            os.rename(hidden, folder / "inbox" / f"{number}.jpg")
            dropped += 1


def _filed(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        return int(_ask(database, "SELECT coalesce(max(id), 0) FROM files WHERE state = 'filed'")[0])
    except sqlite3.OperationalError:  # no tables yet
        return 0


def _rate(database: Path, part: Moment) -> float:
    """Return photos filed a second, from the first batch that was filed in an interval to the last."""
    bounds = tuple(moment.strftime("%Y-%m-%dT%H:%M:%S.%f") for moment in part)
    inside = "FROM files WHERE filed_at >= ? AND filed_at < ?"
    first, last, count = _ask(database, f"SELECT min(filed_at), max(filed_at), count(*) {inside}", *bounds)
    if first == last:
        raise RuntimeError(f"{count} photos were filed in {SECONDS:g} s: too few to tell a rate")
    [of_first] = _ask(database, "SELECT count(*) FROM files WHERE filed_at = ?", first)
    seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    return float((count - of_first) / seconds)


def _ask(database: Path, question: str, *values: str) -> tuple[object, ...]:
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
        return tuple(connection.execute(question, values).fetchone())


def _until(done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.5)
