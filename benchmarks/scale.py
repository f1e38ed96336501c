"""Memory and rate with very many files: waiting at the start, and in a burst while it works.

    python -m benchmarks scale --photos 1000000 --runs 1

Everything but the classifier is real and durable, in a process of its own; the classifier is a stub that
takes no time, so the rate is that of the rest. Files have a few bytes, in a hundred folders. `growth_mb` is
the highest resident memory over that of a worker with nothing to do; `first_batch_seconds` counts from the
birth of the process, which imports no more than a worker does. Were there work for each file that grows with
their number, the last tenth would be filed more slowly than the first. A burst has BURST files at most. A
part that takes longer than a second for SLOWEST files is stopped, and the figures are of what was filed by
then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.instant import Instant
from pipeline.service import service
from pipeline.settings import config
from pipeline.settings.config import Settings
from pipeline.worker import heartbeat, startup

BURST = 100_000
SLOWEST = 200  # files a second
STARTING_SECONDS = 60.0
ROOT = Path(__file__).parents[1]
SETTINGS = "watch: {settle_seconds: 0.2, mode: native}\nbatch: {wait_seconds: 0}\n"


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return figures of `count` files that wait at the start, and of a burst that comes while it works."""
    (folder / "config.yaml").write_text(SETTINGS, encoding="utf-8")
    settings = config.load(folder / "config.yaml")
    startup.prepare_folders(settings)
    with _worker(settings) as pid:
        _wait(lambda: _is_watching(settings, pid), STARTING_SECONDS)
        idle = _memory(pid, "VmRSS")
    _drop(settings.inboxes[0] / "waiting", count)
    figures = {"idle_mb": idle}
    with _worker(settings) as pid:
        figures |= {f"waiting_{name}": value for name, value in _filed(settings, pid, count, idle).items()}
        if figures["waiting_filed"] < count:
            return figures
        began, more = time.monotonic(), min(count, BURST)
        _drop(settings.inboxes[0] / "burst", more)
        figures["burst_seconds_to_drop"] = time.monotonic() - began
        burst = _filed(settings, pid, count + more, idle, done=count)
        beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
        figures |= {f"burst_{name}": value for name, value in burst.items()}
        figures["burst_overflows"] = sum(inbox.overflows for inbox in beat.inboxes) if beat else 0
    return figures


def _filed(settings: Settings, pid: int, goal: int, idle: float, done: int = 0) -> dict[str, float]:
    began, longest = time.monotonic(), STARTING_SECONDS + (goal - done) / SLOWEST
    _wait(lambda: _count(settings) > done, longest)
    seen = [(time.monotonic() - began, _count(settings) - done)]
    while seen[-1][1] < goal - done and seen[-1][0] < longest:
        time.sleep(1.0)
        seen.append((time.monotonic() - began, _count(settings) - done))
    (first, _), (seconds, filed), peak = seen[0], seen[-1], _memory(pid, "VmHWM")
    return {
        "filed": filed,
        "first_batch_seconds": first,
        "files_per_second": filed / seconds,
        "first_tenth_files_per_second": _rate([(when, count) for when, count in seen if count <= filed / 10]),
        "last_tenth_files_per_second": _rate([(when, count) for when, count in seen if count >= filed * 0.9]),
        "peak_mb": peak,
        "growth_mb": peak - idle,
    }


def _rate(seen: list[tuple[float, int]]) -> float:
    """Return the files a second between the first and the last look; 0 where there was but one."""
    seconds = seen[-1][0] - seen[0][0] if seen else 0.0
    return (seen[-1][1] - seen[0][1]) / seconds if seconds else 0.0


@contextlib.contextmanager
def _worker(settings: Settings) -> Iterator[int]:
    path = settings.state.parent / "config.yaml"
    with open(settings.state.parent / "worker.log", "ab") as log:
        command = [sys.executable, "-m", "benchmarks.scale", str(path)]
        worker = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield worker.pid
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    finally:
        worker.kill()
        worker.wait()


def _drop(folder: Path, count: int) -> None:
    for number in range(100):
        (folder / str(number)).mkdir(parents=True)
    names = [os.path.join(folder, str(number)) for number in range(100)]
    prefix = folder.name.encode()
    for number in range(count):
        descriptor = os.open(f"{names[number % 100]}/{number}.jpg", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(descriptor, b"%s %d" % (prefix, number))
        os.close(descriptor)


def _wait(done: Callable[[], bool], seconds: float, pause: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(pause)


def _is_watching(settings: Settings, pid: int) -> bool:
    beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
    return beat is not None and beat.pid == pid and beat.state == "watching"


def _count(settings: Settings) -> int:
    path = settings.state / "pawsort.db"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            # Files are filed nearly in order: the last one tells, and counting a million takes too long.
            last = "SELECT coalesce(max(id), 0) FROM files WHERE filed_at IS NOT NULL"
            return int(database.execute(last).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def _memory(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(service.run(config.load(Path(sys.argv[1])), classifier=Instant()))
