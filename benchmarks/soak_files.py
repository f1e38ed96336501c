"""Make the files of a soak: good ones, poison, duplicates; written and renamed in several ways."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from benchmarks.soak_worker import DEATHS
from pipeline.settings.config import Settings

_REMEMBERED = 200
_DUPLICATES = 0.05


class Dropper:
    """Drop `rate` files a second, of which `poison` bring the decoder down; chance decides which and how.

    `expected` counts what was dropped by SHA-256; `bad` holds those that must end in failed/.
    """

    def __init__(
        self, inboxes: Sequence[Path], rate: float, poison: float, pictures: bool, chance: random.Random
    ) -> None:
        self.expected: Counter[str] = Counter()
        self.bad: set[str] = set()
        self.count = self.poisoned = self.duplicated = self.renamed = 0
        self._inboxes = inboxes
        self._rate = rate
        self._poison = poison
        self._pictures = pictures
        self._chance = chance
        self._next = 0.0
        self._lately: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._open: list[tuple[BinaryIO, bytes]] = []
        self._movable: deque[Path] = deque(maxlen=5)
        self._ways: tuple[Callable[[Path, bytes], None], ...] = (
            self._at_once, self._at_once, self._renamed_in, self._slowly,
        )  # fmt: skip

    def tick(self, now: float) -> None:
        """Drop what is due, go on with what is half written, rename something that waits."""
        self._finish_one()
        self._next = max(self._next, now - 10.0)
        while self._next <= now:
            self._next += self._chance.expovariate(self._rate)
            self._drop()
        if self._movable and self._chance.random() < 0.05:
            self._rename(self._movable.popleft())

    def finish(self) -> None:
        """Close what is half written."""
        while self._open:
            self._finish_one()

    def all_filed(self, settings: Settings) -> bool:
        """Return whether there is a filed row for each file."""
        uri = f"file:{settings.state / 'pawsort.db'}?mode=ro"  # the default would make the file
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5)) as database:
                (filed,) = database.execute("SELECT count(*) FROM results WHERE state = 'filed'").fetchone()
        except sqlite3.OperationalError:
            return False  # the first worker is still making it
        return bool(filed >= self.count)

    def _drop(self) -> None:
        data = self._content()
        self.count += 1
        self.expected[hashlib.sha256(data).hexdigest()] += 1
        folder = self._chance.choice(self._inboxes)
        if self._chance.random() < 0.3:
            folder = folder / f"day {self._chance.randrange(5)}"
            folder.mkdir(exist_ok=True)
        self._chance.choice(self._ways)(folder / f"{self._chance.randrange(50)}-{self.count}.jpg", data)

    def _content(self) -> bytes:
        dice = self._chance.random()
        if dice < self._poison:
            self.poisoned += 1
            data = self._bad()
            self.bad.add(hashlib.sha256(data).hexdigest())
            return data
        if dice < self._poison + _DUPLICATES and self._lately:
            self.duplicated += 1
            return self._chance.choice(self._lately)
        self._lately.append(self._good())
        return self._lately[-1]

    def _good(self) -> bytes:
        if self._pictures:
            from benchmarks.photos import picture

            return picture(self.count)
        return b"photo %d " % self.count + self._chance.randbytes(self._chance.randrange(200, 5000))

    def _bad(self) -> bytes:
        if self._pictures:
            whole = self._good()
            return whole[: self._chance.randrange(20, len(whole) - 20)]
        marker = self._chance.choice((*DEATHS, "<truncated>"))
        return marker.encode() + b" poison %d" % self.count

    def _at_once(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self._movable.append(path)

    def _renamed_in(self, path: Path, data: bytes) -> None:
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.rename(path)

    def _slowly(self, path: Path, data: bytes) -> None:
        file = path.open("wb", buffering=0)
        file.write(data[: len(data) // 2])
        self._open.append((file, data[len(data) // 2 :]))

    def _finish_one(self) -> None:
        if self._open:
            file, rest = self._open.pop(0)
            file.write(rest)
            file.close()

    def _rename(self, path: Path) -> None:
        other = self._chance.choice(self._inboxes) / f"renamed {path.name}"
        with contextlib.suppress(FileNotFoundError):  # the worker was faster
            path.rename(other)
            self.renamed += 1
