"""Back up each second while photos are filed and the worker is killed; restore each backup: `make backups`.

    python -m tests.support.backup_soak [--photos 5000] [--kills 10] [--every 1] [--seed 1]

At the end the oracle counts: each photo once, each with one row. Then each backup is restored in place of the
state folder, and `doctor --repair` and a worker reconcile: no photo may move, each has one row, and each row
of the backup's moment is there. Exits with 1 if anything is wrong. The classifier is a stub.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.backup.make import make
from pipeline.backup.restore import restore
from pipeline.decision import DUPLICATES
from pipeline.doctor import check, repair
from pipeline.errors import DatabaseError
from pipeline.settings.config import Settings
from pipeline.worker.locks import worker_lock
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK, Installation
from tests.support.oracle import conserved

OUTCOMES = ("cats", "dogs", "uncertain", "failed", DUPLICATES)
LABELS = (b"<cat>", b"<dog>", b"<truncated>")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many photos are dropped at which rate, how often the worker is killed, seconds between backups."""

    photos: int
    kills: int
    every: float
    seconds: float
    seed: int = 1


Tree = set[tuple[bytes, int]]
"""The path and inode of each file."""


class Taken(NamedTuple):
    """A backup, the rows that there were before it was begun, and how long it took."""

    path: Path
    before: int
    seconds: float


class BackupSoak:
    """One soak below `folder`, which must be empty."""

    def __init__(self, folder: Path, plan: Plan, server: ForkServer) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._disk = folder / "disk"
        self._disk.mkdir(parents=True)
        self._pawsort = ForkedInstallation(folder / "pets", server, QUICK)
        self.taken: list[Taken] = []
        self.refused: list[str] = []
        self.on_their_way = 0
        self.kills = 0
        self._over = threading.Event()

    def run(self) -> dict[str, Any]:
        """Do it all; return the figures. Raises AssertionError for a backup that does not restore all."""
        began = time.monotonic()
        backups = threading.Thread(target=self._back_up)
        worker = self._pawsort.start(delay=0.005)
        self._pawsort.wait(lambda: (self._pawsort.settings.state / "pawsort.db").exists(), "the database")
        backups.start()
        kill_at = sorted(self._chance.sample(range(1, self._plan.photos), self._plan.kills))
        for number in range(self._plan.photos):
            self._drop(number)
            time.sleep(self._plan.seconds / self._plan.photos)
            if kill_at and number >= kill_at[0]:
                kill_at.pop(0)
                worker.kill()
                self.kills += 1
                worker = self._pawsort.start(delay=0.005)
        self._pawsort.wait_until_filed(seconds=600)
        self._over.set()
        backups.join()
        worker.signal(15)
        worker.wait()
        filing = time.monotonic() - began
        conserved(self._pawsort.settings, self._pawsort.injected)
        tree, rows = _tree(self._pawsort.settings), list[int]()
        for taken in self.taken:
            rows.append(self._judge(taken, tree))
            print(f"{len(rows)} of {len(self.taken)}: {rows[-1]} rows", file=sys.stderr)
        return {
            "photos": self._plan.photos, "kills": self.kills, "seconds_of_filing": round(filing, 1),
            "backups": len(self.taken), "backups_refused": self.refused,
            "rows_in_backups": [min(rows), max(rows)],
            "longest_backup_seconds": round(max(taken.seconds for taken in self.taken), 2),
            "rows_on_their_way": self.on_their_way,
            "rows_lost": 0, "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip

    def _drop(self, number: int) -> None:
        copy = self._chance.random() < 0.05
        content = b"%d" % (number // 2 if copy else number)
        folder = f"day {number % 7}/" if self._chance.random() < 0.3 else ""
        self._pawsort.drop(f"{folder}{number}.jpg", content + self._chance.choice(LABELS), number % 2)

    def _back_up(self) -> None:
        """Make a backup each `every` seconds, until all is filed."""
        settings, config = self._pawsort.settings, self._pawsort.config
        while not self._over.wait(self._plan.every):
            path, before, began = self._disk / f"{len(self.taken)}.zip", self._rows(), time.monotonic()
            try:
                make(settings, config, path)
            except DatabaseError as error:
                self.refused.append(str(error))
            else:
                self.taken.append(Taken(path, before, time.monotonic() - began))

    def _rows(self) -> int:
        path = self._pawsort.settings.state / "pawsort.db"
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM files").fetchone()[0])
        return 0

    def _judge(self, taken: Taken, tree: Tree) -> int:
        """Restore a backup beside the photos as they are; return its rows. Raises AssertionError.

        Nothing but the state folder changes, as is checked: so the photos serve for all backups.
        """
        state = self._pawsort.settings.state
        master = state.with_name("state-at-the-end")
        state.rename(master)
        try:
            rows = self._reconcile(taken)
            assert _tree(self._pawsort.settings) == tree, "photos were moved"
            return rows
        finally:
            shutil.rmtree(state)
            master.rename(state)

    def _reconcile(self, taken: Taken) -> int:
        config = self._pawsort.config
        restored = restore(taken.path, config, None)
        then = _names(restored.settings.state)
        assert len(then) == restored.manifest.database.rows["files"] >= taken.before, taken
        self.on_their_way += _unfinished(restored.settings.state)
        pawsort = Installation(config.parent, config.read_text(encoding="utf-8"))
        try:
            with worker_lock(pawsort.settings):
                found = repair.repair(pawsort.engine, pawsort.settings, OUTCOMES, now=_now)
                left = [str(each) for each in found if not each.done and each.problem.kind != "unfinished"]
            assert left == [], left
            pawsort.run_worker()
            assert [str(each) for each in check.examine(pawsort.engine, pawsort.settings)] == []
            filed = len(pawsort.rows("id", "state = 'filed'"))
        finally:
            pawsort.close()
        assert filed == len(pawsort.rows("id")) == self._plan.photos, f"{filed} filed rows"
        now = _names(restored.settings.state)
        assert then.items() <= now.items(), f"rows lost: {then.keys() - now.keys()}"
        return len(then)


def _tree(settings: Settings) -> Tree:
    """Return the path and inode of each file in inboxes, spool and `sorted`."""
    found: set[tuple[bytes, int]] = set()
    waiting = [os.fsencode(each) for each in (*settings.inboxes, settings.spool, settings.sorted)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    found.add((entry.path, entry.inode()))
    return found


def _now() -> datetime:
    return datetime.now(UTC)


def _names(state: Path) -> dict[int, str]:
    with closing(sqlite3.connect(state / "pawsort.db")) as database:
        return dict(database.execute("SELECT id, name FROM files"))


def _unfinished(state: Path) -> int:
    with closing(sqlite3.connect(state / "pawsort.db")) as database:
        states = "state IN ('claimed', 'decoding', 'decided')"
        return int(database.execute(f"SELECT count(*) FROM files WHERE {states}").fetchone()[0])


def main(words: Sequence[str] | None = None) -> int:
    """Run a soak and print its figures as JSON."""
    parser = argparse.ArgumentParser(prog="tests.support.backup_soak", description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between backups (default 1)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of dropping photos (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="pawsort-backups-"))
    server = ForkServer()
    try:
        plan = Plan(options.photos, options.kills, options.every, options.seconds, options.seed)
        print(json.dumps(BackupSoak(folder, plan, server).run(), indent=2))
    except AssertionError as error:
        print(f"{folder} is kept: {error}", file=sys.stderr)
        return 1
    finally:
        server.close()
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
