"""What Ray costs a backfill: idle time between parts, core time beside the classifier, and two actors or one.

    python -m benchmarks backfill --photos 400 --runs 3

It needs the extra `cluster`. Ray runs on this machine. `sleeping, N actors` is the share of its time that an
actor was busy, from its first part to its last, when parts sleep for 5 seconds. The other figures are of real
parts of 40 photos of 500 pixels, by actors with one core each: the median of parts, so that the start of a
classifier does not count. An actor hashes each photo and writes the results; its share is of the core time of
it and its classifier. `daemons` are Ray's other processes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import photos
from pipeline.backfill import plan as plans
from pipeline.backfill.on_ray import Cluster, PartActor, missing_package, on_ray
from pipeline.backfill.source import open_source
from pipeline.backfill.work import Done, Work
from pipeline.settings import config

ACTORS = (1, 2, 4, 8, 16)
SLEEPS = 10  # of each actor
SECONDS = 5.0  # a part of 2,000 photos takes 18 on one core
EMPTY = 200
PART = 40
_TICKS = os.sysconf("SC_CLK_TCK")


class SleepingActor:
    """Sleeps. Its row has its process as `photos`, its beginning and end as seconds."""

    def __init__(self, work: Work, threads: int) -> None:
        pass

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        began = time.monotonic()
        time.sleep(SECONDS)
        return _row(Done(int(batch["part"][0]), os.getpid(), None, False, began, time.monotonic()))


class EmptyActor(SleepingActor):
    """Does nothing."""

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        return _row(Done(int(batch["part"][0]), 0))


class MeasuredActor(PartActor):
    """Does real parts. Its row has as `problem` the core time of its process and of its classifier."""

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        before = self._core_time()
        row = super().__call__(batch)
        own, child = (now - then for now, then in zip(self._core_time(), before, strict=True))
        return row | {"problem": [json.dumps([os.getpid(), own, child, row["problem"][0]])]}

    def _core_time(self) -> tuple[float, float]:
        pid = self._classifier.pid if self._classifier else None
        return time.process_time(), core_seconds(pid) if pid else 0.0


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures, for `count` photos an actor; none where the extra `cluster` is not installed."""
    if problem := missing_package():
        print(f"backfill: {problem}", file=sys.stderr)
        return {}
    figures = {f"sleeping, {n} actors": _sleeping(folder, n) for n in ACTORS}
    figures["empty parts a second, 2 actors"] = _empty(folder)
    one, two = _real(folder, count, 1), _real(folder, count, 2)
    figures |= {f"{name}, one actor": value for name, value in one.items()}
    figures |= {f"{name}, two actors": value for name, value in two.items()}
    figures["two actors, times the photos of one"] = two["photos a second"] / one["photos a second"]
    return figures


def _sleeping(folder: Path, actors: int) -> float:
    spans: dict[int, list[tuple[float, float]]] = defaultdict(list)
    cluster = Cluster(cpus=actors, cores=1, actor=SleepingActor)
    for done in _parts(cluster, _work(folder, 1), actors * SLEEPS):
        spans[done.photos].append((done.seconds, done.cpu_seconds))
    assert len(spans) == actors, f"{len(spans)} actors worked"
    whole = sum(
        max(ends) - min(begins) for begins, ends in (zip(*own, strict=True) for own in spans.values())
    )
    return sum(end - began for own in spans.values() for began, end in own) / whole


def _empty(folder: Path) -> float:
    """Return how many parts a second Ray hands out and takes back, so that the driver waits for no photo."""
    cluster, seen = Cluster(cpus=2, cores=1, actor=EmptyActor), list[float]()
    for _ in _parts(cluster, _work(folder, 1), EMPTY):
        seen.append(time.monotonic())
    return (EMPTY - EMPTY // 4) / (seen[-1] - seen[EMPTY // 4 - 1])


def _real(folder: Path, count: int, actors: int) -> dict[str, float]:
    parts: list[tuple[float, float, float, int]] = []
    work, began, daemons = _work(folder, count * actors), 0.0, 0.0
    cluster = Cluster(cpus=actors, cores=1, actor=MeasuredActor)
    for done in _parts(cluster, work, -(-count * actors // PART)):
        _, own, child, problem = json.loads(done.problem or "")
        assert problem is None, problem
        parts.append((done.photos / done.seconds, own / done.photos, child / done.photos, done.part))
        now, spent = time.monotonic(), _of_daemons()
        first = (began, daemons) if began else (now, spent)
        began, daemons = first
    rate, own, child = (statistics.median(values) for values in list(zip(*parts, strict=True))[:3])
    return {
        "photos a second": rate * actors,
        "actor, core ms a photo": own * 1000,
        "classifier, core ms a photo": child * 1000,
        "actor, share of core time": own / (own + child),
        "daemons, cores": (spent - daemons) / (now - began),
    }


def _parts(cluster: Cluster, work: Work, count: int) -> Iterator[Done]:
    yield from (done for done in on_ray(cluster)(work, range(count)) if done)


def _work(folder: Path, count: int) -> Work:
    """Plan a new run of so many photos."""
    top = folder / f"{time.monotonic_ns()}"
    photos.make(top / "photos", count)
    settings = config.defaults(top)
    bundle = plans.bundle_of(settings, None)
    planned = plans.plan(settings, bundle, open_source(str(top / "photos")), top / "run", PART)
    return plans.work_of(settings, bundle, top / "run", planned)


def _of_daemons() -> float:
    """Return the core seconds of Ray's processes, its driver included, without the actors of parts."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    below, total = {os.getpid()}, 0.0
    for pid, parent, title in rows:  # parents come first
        if int(parent) in below and "MapWorker" not in title:
            below.add(int(pid))
            total += core_seconds(int(pid))
    return total


def core_seconds(pid: int) -> float:
    """Return the core time of a process, 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _row(done: Done) -> dict[str, list[Any]]:
    return {name: [value] for name, value in done._asdict().items()}
