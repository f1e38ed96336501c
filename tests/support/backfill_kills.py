"""Kill what takes part in a backfill, and compare it with `pawsort classify`: `make cluster-kills`.

    python -m tests.support.backfill_kills [--photos 2000] [--moments 5] [--s3]
        [--kinds machine,child,driver,head]

A loopback cluster of 4 machines; each kind is killed once at each moment of one run, and the same command
continues where it ended. With `--s3`, photos and runs are in a store that speaks like S3, which lets one of
FAULTY requests fail. Prints a table whose last five columns must be 0.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.backfill import parts, run_file
from pipeline.backfill.check import check
from pipeline.backfill.storage.run_path import RunPath, run_path
from scripts import drawn_pets
from tests.corpus.families import everything
from tests.support.ray_cluster import Cluster
from tests.support.s3_server import Store, s3_server

KINDS = ("machine", "child", "driver", "head")
ODD = 20
PARTS = 40
MACHINES = 4
FAULTY = 40
ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"


class Places(NamedTuple):
    """Where photos and runs are: addresses, and the store that has them, if they are on S3."""

    photos: str
    runs: str
    store: Store | None = None

    def results(self, run: RunPath) -> dict[str, int]:
        """Return for each part of a run with results a number that changes when they are written again."""
        if self.store is None:
            with os.scandir(str(run / parts.RESULTS)) as entries:
                return {one.name: one.inode() for one in entries if one.name.startswith("part-")}
        folder = f"runs/{run.name}/{parts.RESULTS}/part-"
        return {
            key: stored.writes for key, stored in self.store.objects.copy().items() if key.startswith(folder)
        }


class Seen(NamedTuple):
    """What was seen with one kind of kill."""

    kind: str
    kills: int
    starts: int
    seconds: float
    lost: int
    doubled: int
    differ: int
    again: int
    problems: int


class Killer:
    """One run that is killed, with the files of results that were there at each kill."""

    def __init__(
        self, cluster: Cluster, places: Places, run: RunPath, kind: str, chance: random.Random
    ) -> None:
        self._cluster, self._places, self._run = cluster, places, run
        self._kind, self._chance = kind, chance
        self._finished: dict[str, int] = {}
        self.kills = self.starts = 0

    def finish(self, moments: Sequence[int]) -> None:
        """Let the run come to its end, with a kill once each of these numbers of parts is done."""
        left = list(moments)
        while True:
            driver = self._start()
            while driver.poll() is None:
                time.sleep(0.2)
                if left and len(self._results()) >= left[0]:
                    left.pop(0)
                    self._kill(driver)
            if driver.returncode == 0 and not left:
                return
            assert self.starts < 4 + 2 * len(moments), "the run does not come to its end"
            if self._kind == "head" or len(self._cluster.machines) < 2:
                self._cluster.restart()

    def again(self) -> int:
        """Return how many files of results were written again after a kill."""
        now = self._results()
        return sum(now.get(name) != inode for name, inode in self._finished.items())

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        command = [sys.executable, "-m", "pipeline", "backfill", "run", str(self._run)]
        command += ["--ray", self._cluster.address, "--stalled-after", "300"]
        return subprocess.Popen(command, env=self._cluster.environment, cwd="/")

    def _results(self) -> dict[str, int]:
        return self._places.results(self._run)

    def _kill(self, driver: subprocess.Popen[bytes]) -> None:
        self._finished |= self._results()
        self.kills += 1
        if self._kind == "driver":
            driver.kill()
        elif self._kind == "child":
            os.kill(self._chance.choice(self._cluster.children_of_actors()), signal.SIGKILL)
        elif self._kind == "head":
            self._cluster.kill(0)
            driver.wait()
        else:
            self._cluster.kill(self._chance.randrange(1, len(self._cluster.machines)))
            if self.kills % 2:  # every other time it stays away
                self._cluster.add()


def make_photos(folder: Path, count: int) -> None:
    """Make so many photos, drawn ones where there are no others, and ODD odd files."""
    folder.mkdir()
    found = sorted(SHARED.glob("*/*/*.jpg")) if SHARED.is_dir() else []
    for number in range(count):
        path = folder / f"{number % 20:02}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        if found:
            shutil.copyfile(found[number * len(found) // count], path)
        else:
            drawn_pets.draw(("cat", "dog", "thing")[number % 3], number).save(path)
    cases = list(everything())
    for number, case in enumerate(cases[:: len(cases) // ODD][:ODD]):
        (folder / f"odd-{number:02}.jpg").write_bytes(case.data)


def pawsort(top: Path, *words: str, environment: dict[str, str] | None = None) -> bytes:
    """Run a command; return what it printed. Exit code 1 says that files failed."""
    command = [sys.executable, "-m", "pipeline", *words]
    done = subprocess.run(command, cwd=top, stdout=subprocess.PIPE, env=environment, check=False)
    assert done.returncode in (0, 1), done.returncode
    return done.stdout


def compared(run: RunPath, photos: Path, said: dict[str, dict[str, object]]) -> tuple[int, int, int]:
    """Return how many photos have no row, more than one, and another than `classify` has said."""
    rows = [row for n in range(run_file.read(run).parts) for row in parts.read_results(run, n)]
    paths = [str(photos / os.fsdecode(row.path)) for row in rows]
    fields = ("prediction", "confidence", "outcome", "reason", "scores")
    differ = sum(
        {name: getattr(row, name) for name in fields} != {name: said[path][name] for name in fields}
        for path, row in zip(paths, rows, strict=True)
    )
    return len(said.keys() - set(paths)), len(paths) - len(set(paths)), differ


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.support.backfill_kills")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--moments", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="backfill-kills-"))
    photos = top / "photos"
    make_photos(photos, options.photos)
    said = {row["path"]: row for row in json.loads(pawsort(top, "classify", str(photos), "--json"))}
    try:
        if not options.s3:
            return killed(options, top, said, Places(str(photos), str(top)))
        with s3_server(Store(page=1000)) as store:
            return killed(options, top, said, stored(store, photos))
    finally:
        shutil.rmtree(top)


def stored(store: Store, photos: Path) -> Places:
    """Put photos into a store, which is faulty from then on, and let commands have access to it."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.environ |= {"AWS_EC2_METADATA_DISABLED": "true"}
    for path in photos.rglob("*.jpg"):
        store.put(f"pets/{path.relative_to(photos)}", path.read_bytes())
    store.fault = store.each(FAULTY, "error", "reset", "cut", "unanswered")
    return Places(store.source, store.address("runs"), store)


def killed(options: argparse.Namespace, top: Path, said: dict[str, dict[str, object]], places: Places) -> int:
    """Do a run for each kind of kill, and print the table; return the exit code."""
    size, seen = -(-len(said) // PARTS), []
    print(f"{'kind':8} kills starts seconds lost doubled differ again problems", flush=True)
    for kind in options.kinds.split(","):
        run = run_path(places.runs) / f"run-{kind}"
        pawsort(top, "backfill", "plan", places.photos, "--out", str(run), "--part", str(size))
        count = run_file.read(run).parts
        began, cluster = time.monotonic(), Cluster(MACHINES)
        try:
            killer = Killer(cluster, places, run, kind, random.Random(options.seed))
            killer.finish([count * (2 * n + 1) // (2 * options.moments) for n in range(options.moments)])
        finally:
            cluster.stop()
        one = Seen(
            kind, killer.kills, killer.starts, time.monotonic() - began,
            *compared(run, top / "photos", said), killer.again(), len(list(check(run))),
        )  # fmt: skip
        print("{:8} {:5} {:6} {:7.0f} {:4} {:7} {:6} {:5} {:8}".format(*one), flush=True)
        seen.append(one)
    return int(any(sum(one[4:]) for one in seen))


if __name__ == "__main__":
    sys.exit(main())
