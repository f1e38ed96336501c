"""What Ray costs a backfill: idle time between parts, core time beside the classifier, and two actors or one.

    python -m benchmarks backfill --photos 400 --runs 3

It needs the extra `cluster`. Ray runs on this machine. `sleeping, N actors` is the share of its time that an
actor was busy, from its first part to its last, when parts sleep for 5 seconds. The other figures are of real
parts of 200 photos of 500 pixels, by an actor with one core: the median of parts, so that the start of the
classifier does not count. An actor hashes each photo and writes the results; its share is of the core time of
it and its classifier. `daemons` are Ray's other processes. For `two actors`, each on a core of its own, one
pauses every other SLOT seconds, so that both rates are of the same minutes, whatever else the machine does.
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
from pipeline.backfill.on_ray import IN_FLIGHT, Cluster, PartActor, missing_package, on_ray
from pipeline.backfill.parts import results_file
from pipeline.backfill.source import open_source
from pipeline.backfill.work import Done, Work
from pipeline.settings import config

ACTORS = (1, 2, 4, 8, 16)
SLEEPS = 8  # of each actor
SECONDS = 5.0  # a part of 2,000 photos takes 18 on one core
EMPTY = 200
PART = 200
SMALL = 20  # photos of a part that is done again and again
SLOT, SLOTS = 5.0, 12
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
        before = core_times(self)
        row = super().__call__(batch)
        own, child = (now - then for now, then in zip(core_times(self), before, strict=True))
        return row | {"problem": [json.dumps([os.getpid(), own, child, row["problem"][0]])]}


def core_times(actor: PartActor) -> tuple[float, float]:
    """Return the core time of an actor's own process, and of its classifier."""
    pid = actor._classifier.pid if actor._classifier else None
    return time.process_time(), core_seconds(pid) if pid else 0.0


class PausingActor(PartActor):
    """Does its first part again and again, the second actor in shared slots alone. Its row has the times."""

    _has_worked = False

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        number, spans = int(batch["part"][0]), list[tuple[float, float, float]]()
        if not self._has_worked:
            self._has_worked = True
            is_second = (self._work.run / "started-0").exists()
            (self._work.run / f"started-{int(is_second)}").touch()
            # Its threads would use both cores while the other pauses.
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[is_second]})
            super().__call__(batch)  # starts the classifier
            until = _both_ready(self._work.run, is_second)
            while (began := time.monotonic()) < until:
                if is_second and not _is_shared(began):
                    time.sleep(0.05)
                    continue
                results_file(self._work.run, number).unlink()
                before = sum(core_times(self))
                assert super().__call__(batch)["problem"] == [None]
                spans.append((began, time.monotonic(), sum(core_times(self)) - before))
        return _row(Done(number, 0, json.dumps(spans)))


def _both_ready(run: Path, is_second: bool) -> float:
    """Wait for the other actor; return when the last of SLOTS slots ends."""
    (run / f"ready-{int(is_second)}").touch()
    while not (run / f"ready-{int(not is_second)}").exists():
        time.sleep(0.05)
    begin = max((run / f"ready-{each}").stat().st_mtime for each in (0, 1)) - time.time() + time.monotonic()
    time.sleep(max(0.0, (begin // SLOT + 2) * SLOT - time.monotonic()))
    return (begin // SLOT + 2 + SLOTS) * SLOT


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures, for `count` photos an actor; none where the extra `cluster` is not installed."""
    if problem := missing_package():
        print(f"backfill: {problem}", file=sys.stderr)
        return {}
    figures = {f"sleeping, {n} actors": _sleeping(folder, n) for n in ACTORS}
    figures["empty parts a second, 2 actors"] = _empty(folder)
    return figures | _together(folder) | _real(folder, count)


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


def _together(folder: Path) -> dict[str, float]:
    """Divide what two actors do by what one does while the other pauses, by the clock and by core time."""
    done, cores = defaultdict[bool, float](float), defaultdict[bool, float](float)
    cluster, parts = Cluster(cpus=2, cores=1, actor=PausingActor), 2 * IN_FLIGHT  # so that each has one
    for part in _parts(cluster, _work(folder, parts * SMALL, SMALL), parts):
        for began, ended, core in json.loads(part.problem or ""):
            for half in (began, ended):  # a part may lie in two slots
                done[_is_shared(half)] += SMALL / 2
                cores[_is_shared(half)] += core / 2
    each = done[True] / cores[True] / (done[False] / cores[False])
    return {
        "two actors, times the photos of one": done[True] / done[False],
        "two actors, times the photos of one, core seconds being equal": 2 * each,
    }


def _is_shared(moment: float) -> bool:
    return int(moment // SLOT) % 2 == 0


def _real(folder: Path, count: int) -> dict[str, float]:
    parts: list[tuple[float, float, float, int]] = []
    work, began, daemons = _work(folder, count), 0.0, 0.0
    for done in _parts(Cluster(cpus=1, actor=MeasuredActor), work, -(-count // PART)):
        _, own, child, problem = json.loads(done.problem or "")
        assert problem is None, problem
        parts.append((done.photos / done.seconds, own / done.photos, child / done.photos, done.part))
        now, spent = time.monotonic(), _of_daemons()
        first = (began, daemons) if began else (now, spent)
        began, daemons = first
    rate, own, child = (statistics.median(values) for values in list(zip(*parts, strict=True))[:3])
    return {
        "photos a second": rate,
        "actor, core ms a photo": own * 1000,
        "classifier, core ms a photo": child * 1000,
        "actor, share of core time": own / (own + child),
        "daemons, cores": (spent - daemons) / (now - began),
    }


def _parts(cluster: Cluster, work: Work, count: int) -> Iterator[Done]:
    yield from (done for done in on_ray(cluster)(work, range(count)) if done)


def _work(folder: Path, count: int, size: int = PART) -> Work:
    """Plan a new run of so many photos."""
    top = folder / f"{time.monotonic_ns()}"
    photos.make(top / "photos", count)
    settings = config.defaults(top)
    bundle = plans.bundle_of(settings, None)
    planned = plans.plan(settings, bundle, open_source(str(top / "photos")), top / "run", size)
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
