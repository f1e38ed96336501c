"""Kill the worker at each system call that changes a file, and let each call fail: `make sweep`.

    python -m tests.faults.sweep [--sample N] [--seed S] [--jobs J] [--kinds kill,undo,...] [--json FILE]
        [--actions move,copy,hardlink,symlink] [--calls link,symlink,...]

A worker with a stub classifier files four photos: a good one, a bad one, a duplicate, and one with
companions; its model changes after each batch. Its calls are taken from a trace of a run without faults. The
kinds `undo` and `correct` are of a user's command that changes all of them afterwards.
After each point a worker runs without faults, and files a fresh photo too; then nothing may be lost, doubled,
forgotten, separated, or answered by a mixture of models. Needs strace; the power cut needs root and loop
devices.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from scripts.drawn_pets import draw
from tests.faults import injection
from tests.support.fork_server import ForkedWorker, ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK
from tests.support.originals import State, state_of
from tests.support.strace import (
    CHANGES,
    READS,
    STRACE,
    Call,
    Tracer,
    calls_in,
    changes,
    was_injected,
)

Across = Literal["", "sorted", "inboxes"]
LAYOUTS: tuple[Across, ...] = ("", "sorted", "inboxes")
"""What is on another file system than `state`, so that files come there, or from there, by copy."""

ACROSS_OF = {"move": LAYOUTS, "copy": LAYOUTS, "hardlink": ("",), "symlink": ("", "sorted")}
"""The layouts in which each action differs; a hard link needs one file system."""

DAY = (
    *((0, "good.jpg", b"1<cat>"), (0, "bad.jpg", b"<truncated>"), (1, "good.jpg", b"1<cat>")),
    *((0, "pair.jpg", b"2<dog>"), (0, "pair.jpg.xmp", b"sidecar"), (0, "pair.NEF", b"raw")),
)
ERRORS = ("ENOSPC", "EIO", "EROFS")
CUTS = 50
"""Moments at which the power is cut."""

REAL = 20
"""Calls at which a worker with the real network is killed; each takes half a minute."""

_OURS = ("rename", "renameat2", "link", "unlink", "fsync", "fdatasync", "pwrite64", "ftruncate", "fchown")
"""Calls that TensorFlow, in the process below, does not make."""

BAD_SECONDS = 0.4
"""How long the world stays bad where a call fails for ever, once the worker has begun."""

SLOW_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Point:
    """One fault: `kind` is kill, nested, once, ever, power, corrections or real; `across` is on another disk.

    A power cut comes `number` milliseconds after the first claim; with `corrections`, while a user
    corrects and undoes what was filed.
    """

    kind: str
    across: Across
    call: str
    number: int
    error: str = ""
    again: tuple[str, int] | None = None  # where the second worker is killed
    action: str = "move"  # how photos are taken
    user: str = ""  # undo or correct: the fault is not in the worker, but in this command after it

    def __str__(self) -> str:
        where = f"{self.call}#{self.number}" + (f" {self.error}" if self.error else "")
        then = f" then {self.again[0]}#{self.again[1]}" if self.again else ""
        action = "" if self.action == "move" else f" {self.action}"
        return f"{self.user} {self.kind} {where}{then}{action}" + (
            f" {self.across} across" if self.across else ""
        )


class Yard:
    """Where points are tried: memory file systems, so that a thousand of them do not wear a disk out."""

    def __init__(self, fork_server: ForkServer) -> None:
        memory = Path("/dev/shm")
        self._fork_server = fork_server
        self._top = Path(tempfile.mkdtemp(prefix="pawsort-sweep-", dir=memory if memory.is_dir() else None))
        self._far = Path(tempfile.mkdtemp(prefix="pawsort-sweep-"))
        self._count = 0

    @contextlib.contextmanager
    def installation(
        self, across: Across, real: bool = False, action: str = "move"
    ) -> Iterator[ForkedInstallation]:
        """Make a place with the photos in it, drawn ones for the real network; remove it afterwards."""
        self._count += 1
        folder, far = self._top / str(self._count), self._far / str(self._count)
        folder.mkdir()
        far.mkdir()
        text = QUICK + f"filing: {{action: {action}}}\n"
        text += f"sorted: {far}/sorted\n" if across == "sorted" else ""
        if across == "inboxes":
            text = text.replace("[inbox, scans]", f"[{far}/inbox, {far}/scans]")
        photo = _jpeg("dog") if real else None
        pawsort = ForkedInstallation(folder, self._fork_server, text, photo, versions=not real)
        for inbox, name, data in _drawn_day() if real else DAY:
            pawsort.drop(name, data, inbox)
        try:
            yield pawsort
        finally:
            pawsort.close()
            shutil.rmtree(folder)
            shutil.rmtree(far)

    def cut_power(self, seconds: float, correcting: bool = False) -> None:
        """Copy the disk under a worker that is stopped at some moment, and let another work on the copy."""
        self._count += 1
        place = self._far / f"cut-{self._count}"
        place.mkdir()
        try:
            power_cut(place, self._fork_server, seconds, correcting)
        finally:
            shutil.rmtree(place)

    def close(self) -> None:
        """Remove all."""
        shutil.rmtree(self._top)
        shutil.rmtree(self._far)

    def trace(self, across: Across, real: bool = False, action: str = "move", user: str = "") -> list[Call]:
        """Return the calls of a run without faults that are about the files of its place."""
        with self.installation(across, real, action) as pawsort:
            output = pawsort.folder / "trace"
            worker = _start(pawsort, user)
            with Tracer(worker, tuple({*CHANGES, *READS}), output=output):
                assert worker.wait() == (0 if user else 1), pawsort.log
            inboxes = map(str, pawsort.settings.inboxes)
            places = (str(pawsort.folder), str(pawsort.settings.sorted), *inboxes, "/proc/self/fd")
            return [c for c in calls_in(output, places) if "worker.log" not in c.text]


def points(
    yard: Yard,
    kinds: set[str],
    chance: random.Random,
    layouts: Sequence[Across] = LAYOUTS,
    actions: Sequence[str] = ("move",),
) -> list[Point]:
    """Return every point there is to try."""
    found: list[Point] = []
    for action in actions:
        for across in (layout for layout in ACROSS_OF[action] if layout in layouts):
            found += (replace(p, action=action) for p in _points_of(yard, kinds, chance, across, action))
            for user in sorted({"undo", "correct"} & kinds):
                these = _points_of(yard, {"kill", "error"}, chance, across, action, user)
                found += (replace(p, action=action, user=user) for p in these)
    if "real" in kinds:
        calls = [call for call in yard.trace(across="", real=True) if call.name in _OURS]
        found += [Point("real", "", c.name, c.number) for c in chance.sample(calls, REAL)]
    if "power" in kinds:
        found += [Point("power", "", "power", chance.randrange(1500)) for _ in range(CUTS)]
    if "corrections" in kinds:
        found += [Point("corrections", "", "power", chance.randrange(1500)) for _ in range(CUTS)]
    return found


def _points_of(
    yard: Yard, kinds: set[str], chance: random.Random, across: Across, action: str, user: str = ""
) -> list[Point]:
    """Return the points of one layout, found in a trace."""
    found = []
    if kinds & {"kill", "nested", "error"}:
        calls = yard.trace(across, action=action, user=user)
        changing = [call for call in calls if changes(call)]
        reading = [call for call in calls if call.name in READS and not changes(call)]
        if "kill" in kinds:
            found += [Point("kill", across, c.name, c.number) for c in changing]
        if "nested" in kinds:
            found += [
                Point("nested", across, c.name, c.number, again=(again.name, again.number))
                for c in changing
                for again in chance.sample(changing, 3)
            ]
        if "error" in kinds:
            for kind in ("once", "ever"):
                found += [Point(kind, across, c.name, c.number, e) for c in changing for e in ERRORS]
                found += [Point(kind, across, c.name, c.number, "EIO") for c in reading]
    return found


def check(yard: Yard, point: Point) -> bool:
    """Make one fault happen; raise AssertionError if anything is lost, doubled, forgotten or stuck.

    Return whether the fault came: not every run makes as many calls as the one that was traced.
    """
    if point.kind in ("power", "corrections"):
        yard.cut_power(point.number / 1000, correcting=point.kind == "corrections")
        return True
    with yard.installation(point.across, point.kind == "real", point.action) as pawsort:
        before = _originals(pawsort)
        if point.kind in ("kill", "nested", "real"):
            came = _kill(pawsort, point.call, point.number, point.user) and (
                not point.again or _kill(pawsort, *point.again)
            )
        else:
            came = _fail(pawsort, point)
        pawsort.workers.clear()
        pawsort.ends_well()
        assert "Traceback" not in pawsort.log, pawsort.log
        if point.action != "move":
            assert _originals(pawsort) == before, "an original has changed"
    return came


def _originals(pawsort: ForkedInstallation) -> dict[str, State]:
    """Return the photos of the inboxes that were there at the beginning."""
    return {
        f"{inbox}/{name}": state
        for inbox in pawsort.settings.inboxes
        for name, state in state_of(inbox).items()
        if name not in (".", "fresh.jpg")
    }


def _drawn_day() -> Iterator[tuple[int, str, bytes]]:
    good = _jpeg("cat")
    yield from ((0, "good.jpg", good), (0, "bad.jpg", good[: len(good) // 2]), (1, "good.jpg", good))


@functools.cache
def _jpeg(kind: str) -> bytes:
    data = io.BytesIO()
    draw(kind, seed=1).save(data, "JPEG")
    return data.getvalue()


def power_cut(place: Path, fork_server: ForkServer, seconds: float, correcting: bool = False) -> None:
    """Stop a worker so long after its first claim, copy the disk below it, and check another on the copy.

    With `correcting` a user corrects what is filed, and both are stopped so long after this began.

    The kernel writes nothing back by itself for minutes: the copy has just what was synced.
    """
    image, disk = place / "image", place / "disk"
    text = QUICK + f"reports: {place}/reports\n"
    with injection.ext4(image, disk), ForkedInstallation(disk, fork_server, text) as pawsort:
        for number in range(30):
            pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
        os.sync()
        pawsort.start()
        pawsort.wait(lambda: pawsort.rows("id"), "the first claim")
        if correcting:
            pawsort.wait_until_filed(len(pawsort.injected) // 2)
            pawsort.start(people=round(seconds * 1000))
        time.sleep(seconds)
        for worker in pawsort.workers:
            worker.signal(signal.SIGSTOP)
        shutil.copy(image, place / "copy")
        pawsort.close()
    with injection.mounted_image(place / "copy", disk):
        pawsort.workers.clear()
        pawsort.ends_well(corrected=correcting)
        assert "Traceback" not in pawsort.log, pawsort.log


def _start(pawsort: ForkedInstallation, user: str) -> ForkedWorker:
    """Start what the fault is put into, held: a worker, or a user's command after a worker has filed all."""
    if not user:
        return pawsort.start(once=True, held=True)
    assert pawsort.run_once() == 1, pawsort.log
    return pawsort.start(user=user, held=True)


def _kill(pawsort: ForkedInstallation, call: str, number: int, user: str = "") -> bool:
    worker = _start(pawsort, user)
    with Tracer(worker, (call,), f"{call}:signal=SIGKILL:when={number}"):
        code = worker.wait()
    assert code in (-signal.SIGKILL, 0, 1), f"exit code {code}:\n{pawsort.log[-3000:]}"
    return code == -signal.SIGKILL


def _fail(pawsort: ForkedInstallation, point: Point) -> bool:
    worker = _start(pawsort, point.user)
    ever = "+" if point.kind == "ever" else ""
    trace = pawsort.folder / "trace"
    inject = f"{point.call}:error={point.error}:when={point.number}{ever}"
    with Tracer(worker, (point.call,), inject, trace):
        if ever:
            _let_it_begin(worker)
            with contextlib.suppress(TimeoutError):
                worker.wait(BAD_SECONDS)
        else:
            worker.wait()
    if worker.state not in "XZ":
        worker.wait()
    _, started, rest = pawsort.log.partition("drop photos into")
    waits = not started or "pawsort: " not in rest
    assert waits or point.user, f"ended instead of waiting:\n{rest}"
    return was_injected(trace)


def _let_it_begin(worker: ForkedWorker) -> None:
    """Wait until a worker has begun, so that a slow one meets the fault too; that may prevent it."""
    end = time.monotonic() + SLOW_SECONDS
    while "loading model" not in worker.log and worker.state not in "XZ" and time.monotonic() < end:
        time.sleep(0.02)


def main() -> int:
    """Try all points, or a sample; return 1 if one is bad."""
    options = _options()
    if STRACE is None:
        print("strace is not here: nothing was swept", file=sys.stderr)
        return 2
    chance = random.Random(options.seed)
    began = time.monotonic()
    with _a_yard() as yard:
        layouts = [layout for layout in LAYOUTS if layout in options.layouts.split(",")]
        kinds, actions = set(options.kinds.split(",")), options.actions.split(",")
        todo = points(yard, kinds, chance, layouts, actions)
    if options.calls:
        todo = [point for point in todo if point.call in options.calls.split(",")]
    every = Counter(_kind(point) for point in todo)
    chance.shuffle(todo)  # so that what was tried in too short a time is a fair sample
    work = _Work(todo[: options.sample], began + options.minutes * 60)
    with ThreadPoolExecutor(options.jobs) as pool:
        for worker in [pool.submit(work.do) for _ in range(options.jobs)]:
            worker.result()
    tried = Counter(map(_kind, work.tried))
    seconds = round(time.monotonic() - began)
    report = {"points": dict(every), "tried": dict(tried), "came": dict(work.came), "seconds": seconds}
    if options.json:
        Path(options.json).write_text(
            json.dumps({**report, "bad": work.bad}, indent=1) + "\n", encoding="utf-8"
        )
    print(json.dumps({**report, "bad": len(work.bad), "missing": work.missing}))
    return 1 if work.bad or work.missing else 0


def _kind(point: Point) -> str:
    return f"{point.user} {point.kind}".strip()


class _Work:
    """Points to try before `end`, taken one by one by threads, each with a yard of its own."""

    def __init__(self, todo: list[Point], end: float) -> None:
        self.tried: list[Point] = []
        self.bad: list[dict[str, object]] = []
        self.came: Counter[str] = Counter()  # of each kind, points at which the fault really came
        self.missing = 0  # points that cannot be tried on this machine
        self._todo = deque(todo)
        self._end = end

    def do(self) -> None:
        with _a_yard() as yard:
            while time.monotonic() < self._end:
                try:
                    point = self._todo.popleft()
                except IndexError:
                    return
                self._try(yard, point)

    def _try(self, yard: Yard, point: Point) -> None:
        try:
            came = check(yard, point)
        except pytest.skip.Exception as missing:
            self.missing += 1
            print(f"{point}: not here: {missing}", file=sys.stderr)
            return
        except (AssertionError, TimeoutError, OSError, sqlite3.Error) as error:
            print(f"BAD {point}: {str(error)[-1500:]}", flush=True)
            self.bad.append({**asdict(point), "error": str(error)[-3000:]})
        else:
            self.came[_kind(point)] += came
        self.tried.append(point)
        if len(self.tried) % 100 == 0:
            print(f"{len(self.tried)} tried, {len(self._todo)} left", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _a_yard() -> Iterator[Yard]:
    fork_server = ForkServer()
    try:
        yard = Yard(fork_server)
        try:
            yield yard
        finally:
            yard.close()
    finally:
        fork_server.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, help="so many points, chosen by chance")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="so many points at a time")
    parser.add_argument("--kinds", default="kill,nested,error,undo,correct,power,corrections")
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help="what may be on another file system")
    parser.add_argument("--actions", default=",".join(ACROSS_OF), help="how photos are taken")
    parser.add_argument("--calls", help="only these calls, such as link,symlink,renameat2")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this time")
    parser.add_argument("--json", help="write what was found to this file")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "error")
    raise SystemExit(main())
