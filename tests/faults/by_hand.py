"""A person who moves, renames, deletes, adds, edits, copies and swaps files in `sorted`: `make hands`.

    python -m tests.faults.by_hand [--operations N] [--seed S] [--kills]

Meanwhile a worker with a stub classifier files new photos, and with `--kills` it is killed at random moments.
Afterwards rows and folders must agree, each content be there as often as it should, and `doctor` find
nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from db.connection.engine import open_database
from pipeline.doctor.check import examine
from pipeline.files import renames
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.oracle import counted, digest, files_below, read

SETTINGS = """
inboxes: [inbox, scans]
decision: {min_confidence: 0.9}
batch: {size: 4, wait_seconds: 0}
watch: {settle_seconds: 0.05, rescan_seconds: 0.5}
"""
FOLDERS = ("cats", "dogs", "uncertain", "failed", "rabbits")
ANCHOR = b"anchor"
"""A file of each folder that the person leaves alone, so that no folder seems to be unmounted."""


class Person:
    """Do operations by chance, and count the contents that must be there afterwards."""

    def __init__(self, pawsort: ForkedInstallation, chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self.expected: Counter[str] = Counter()
        self._pawsort = pawsort
        self._chance = chance
        self._root = os.fsencode(pawsort.settings.sorted)
        self._trash = os.fsencode(pawsort.folder / "trash")
        self._number = 0
        os.mkdir(self._trash)
        self._operations: dict[Callable[[bytes], None], int] = {
            self.move: 25, self.rename: 12, self.delete: 8, self.to_trash: 5, self.from_trash: 8, self.add: 8,
            self.edit: 6, self.replace: 6, self.copy: 6, self.link: 3, self.swap: 6, self.overwrite: 4,
            self.rename_folder: 3, self.send_in: 4,
        }  # fmt: skip
        self._first = list(self._operations)  # each once, so that a short run has all
        chance.shuffle(self._first)

    def drop(self) -> None:
        """Put a new photo into an inbox."""
        data = self._content(self._chance.choice((b"cat", b"dog", b"unsure", b"truncated")))
        self._pawsort.drop(f"{self._number % 3}/{self._number}.jpg", data, self._number % 2)
        self.expected[digest(data)] += 1

    def anchor(self) -> None:
        """Put a file that stays into each folder."""
        for folder in FOLDERS:
            os.makedirs(os.path.join(self._root, folder.encode()), exist_ok=True)
            self._write(os.path.join(self._root, folder.encode(), ANCHOR), self._content(b"cat"))

    def act(self) -> None:
        """Do one operation."""
        files = self._files()
        if not files:
            return
        [operation] = self._chance.choices(list(self._operations), list(self._operations.values()))
        operation = self._first.pop() if self._first else operation
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            operation(self._chance.choice(files))
            self.done[operation.__name__] += 1

    # --- operations

    def move(self, path: bytes) -> None:
        renames.rename(path, self._somewhere(os.path.basename(path)))

    def rename(self, path: bytes) -> None:
        renames.rename(path, os.path.join(os.path.dirname(path), self._name()))

    def delete(self, path: bytes) -> None:
        self._forget(path)
        os.unlink(path)

    def to_trash(self, path: bytes) -> None:
        self._forget(path)
        renames.rename(path, os.path.join(self._trash, self._name()))

    def from_trash(self, path: bytes) -> None:
        if names := sorted(os.listdir(self._trash)):
            trashed, back = os.path.join(self._trash, names[0]), self._somewhere(names[0])
            data = read(trashed)
            renames.rename(trashed, back)
            self.expected[digest(data)] += 1

    def add(self, path: bytes) -> None:
        self._write(self._somewhere(self._name()), self._content(b"dog"))

    def edit(self, path: bytes) -> None:
        if os.lstat(path).st_nlink > 1:
            return  # it would change both
        self._forget(path)
        self._write(path, self._content(b"edited"))

    def replace(self, path: bytes) -> None:
        """As many editors save."""
        self._forget(path)
        data = self._content(b"saved")
        beside = path + b".tmp"
        Path(os.fsdecode(beside)).write_bytes(data)
        os.rename(beside, path)
        self.expected[digest(data)] += 1

    def copy(self, path: bytes) -> None:
        self._write(self._somewhere(self._name()), read(path))

    def link(self, path: bytes) -> None:
        os.link(path, self._somewhere(self._name()))
        self.expected[digest(read(path))] += 1

    def swap(self, path: bytes) -> None:
        other, aside = self._chance.choice(self._files()), os.path.join(self._root, b"cats", self._name())
        if os.lstat(other).st_ino != os.lstat(path).st_ino:
            os.rename(path, aside)
            os.rename(other, path)
            os.rename(aside, other)

    def overwrite(self, path: bytes) -> None:
        other = self._chance.choice(self._files())
        if os.lstat(other).st_ino != os.lstat(path).st_ino:
            self._forget(other)
            os.rename(path, other)

    def rename_folder(self, path: bytes) -> None:
        folder, other = os.path.dirname(path), self._somewhere(self._name())
        if os.path.dirname(folder) != self._root and not other.startswith(folder + b"/"):
            os.rename(folder, other)

    def send_in(self, path: bytes) -> None:
        """Move a photo back into an inbox, where it is a new delivery."""
        renames.rename(path, os.path.join(self._pawsort.raw_inbox, self._name()))

    # --- names and contents

    def _files(self) -> list[bytes]:
        # A hidden one is a trial of Pawsort's, which it removes at once; no person sees it.
        found = ((os.path.basename(path), path) for path in files_below(self._pawsort.settings.sorted))
        return sorted(path for name, path in found if name != ANCHOR and not name.startswith(b"."))

    def _somewhere(self, name: bytes) -> bytes:
        below = self._chance.choice((b"", b"", b"trip", b"trip/deep"))
        folder = os.path.join(self._root, self._chance.choice(FOLDERS).encode(), below)
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)

    def _name(self) -> bytes:
        self._number += 1
        return b"%d.jpg" % self._number

    def _content(self, kind: bytes) -> bytes:
        self._number += 1
        return b"%d<%s>" % (self._number, kind)

    def _write(self, path: bytes, data: bytes) -> None:
        Path(os.fsdecode(path)).write_bytes(data)
        self.expected[digest(data)] += 1

    def _forget(self, path: bytes) -> None:
        """Expect a content once less."""
        self.expected[digest(read(path))] -= 1


def torment(
    pawsort: ForkedInstallation, operations: int, seed: int, *, kills: bool = False, pause: float = 0.002
) -> Counter[str]:
    """Let a worker and a person work at the same time; check the whole afterwards."""
    chance = random.Random(seed)
    person = Person(pawsort, chance)
    worker = pawsort.start()
    pawsort.wait_until_watching()
    person.anchor()
    for _ in range(12):
        person.drop()
    pawsort.wait(lambda: len(pawsort.rows("id", "state = 'filed'")) >= 12, "the first photos")
    for number in range(operations):
        if number % 8 == 0:
            person.drop()
        person.act()
        time.sleep(chance.uniform(0, 2 * pause))
        # Once for certain: what a person can do, and so what chance draws, depends on how far the worker is.
        if kills and (number == operations // 2 or chance.random() < 0.02):
            worker.kill()
            worker = pawsort.start()
    person.expected = +person.expected
    pawsort.wait(lambda: agrees(pawsort, person.expected), "rows and folders to agree")
    worker.signal(15)
    assert worker.wait() == 143
    counted(pawsort.settings, person.expected, idle=False)
    assert pawsort.rows("id", "state NOT IN ('filed', 'removed')") == []
    engine = open_database(pawsort.settings.database_url, "read")
    found = [str(problem) for problem in examine(engine, pawsort.settings, hashes=True)]
    engine.dispose()
    assert found == []
    assert "Traceback" not in pawsort.log, pawsort.log[-3000:]
    return person.done


def agrees(pawsort: ForkedInstallation, expected: Counter[str]) -> bool:
    """Return whether nothing is on its way and there is a row for each file, with its path and content."""
    rows = pawsort.rows("path, sha256", "state = 'filed'")
    if pawsort.rows("id", "state NOT IN ('filed', 'removed')") or files_below(*pawsort.settings.inboxes):
        return False
    if Counter(sha for _, sha in rows) != expected:
        return False
    return {os.fsencode(path) for path, _ in rows} == set(files_below(pawsort.settings.sorted))


def main() -> int:
    """Run it in a temporary folder, which stays if it fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--operations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", action="store_true", help="kill the worker at random moments")
    options = parser.parse_args()
    server = ForkServer()
    folder = Path(tempfile.mkdtemp(prefix="pawsort-hands-"))
    try:
        with ForkedInstallation(folder, server, SETTINGS) as pawsort:
            began = time.monotonic()
            done = torment(pawsort, options.operations, options.seed, kills=options.kills)
            starts = len(pawsort.workers)
    except (AssertionError, sqlite3.Error) as error:
        print(f"BAD, see {folder}: {error}", file=sys.stderr)
        return 1
    finally:
        server.close()
    print(json.dumps({"done": dict(done), "starts": starts, "seconds": round(time.monotonic() - began)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
