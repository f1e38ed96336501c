"""An installation whose `sorted` is followed, without a worker unless a test wants one."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.by_hand.follower import Follower
from pipeline.doctor.check import examine
from tests.support.installation import FOLDERS, QUICK, Installation
from tests.support.pictures import encode, scene


class Followed(Installation):
    """Files are filed by `file`; `follow` lets a new follower take up what was done by hand since."""

    clock = 0.0
    follower: Follower | None = None

    def follow(self, *, afresh: bool = False, seconds: float = 100.0, **options: Any) -> Follower:
        """Let time pass and the follower take up everything."""
        if self.follower is None or afresh:
            self.stop()
            self.follower = Follower(
                self.engine,
                self.settings,
                FOLDERS,
                clock=lambda: self.clock,
                now=lambda: datetime.now(UTC),
                **options,
            )
            self.follower.start()
        before = self.follower.scans
        self.follower._scan_at = 0.0
        self.clock += seconds
        for _ in range(5000):
            self.follower.advance(busy=False)
            self.clock += 0.01
            if self.follower.scans > before and self.follower.idle:
                return self.follower
        raise AssertionError(f"not idle: {self.follower.notes}")

    def stop(self) -> None:
        if self.follower is not None:
            self.follower.stop()

    def close(self) -> None:
        self.stop()
        super().close()

    def at(self, name: str | bytes) -> bytes:
        """Return the path of a name below `sorted`, with its folder."""
        path = os.path.join(self.raw_sorted, os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def move(self, source: str, destination: str) -> None:
        """Move a file below `sorted` by hand, over another if there is one."""
        os.rename(self.at(source), self.at(destination))

    def put(self, name: str | bytes, content: bytes | None = None) -> bytes:
        """Put a file, a picture of its own without a content, below `sorted` by hand; return its content."""
        data = picture(str(name)) if content is None else content
        Path(os.fsdecode(self.at(name))).write_bytes(data)
        return data

    def moves(self, columns: str = "kind, old_outcome, new_outcome, new_corrected_to") -> list[Any]:
        """Return the moves, oldest first."""
        with sqlite3.connect(self.settings.state / "pawsort.db") as database:
            return database.execute(f"SELECT {columns} FROM moves ORDER BY id").fetchall()

    def found(self) -> list[str]:
        """Return the findings of `doctor`, as text."""
        return [str(problem) for problem in examine(self.engine, self.settings, hashes=True)]


def picture(seed: str) -> bytes:
    """Return a small picture that differs by seed."""
    return encode(scene(8 + sum(seed.encode()) % 40, 8 + len(seed)), "PNG") + seed.encode()


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Followed]:
    """An installation in which nothing was filed yet."""
    pawsort = Followed(tmp_path, QUICK)
    for folder in ("cats", "dogs", "uncertain", "failed"):
        (pawsort.settings.sorted / folder).mkdir()
    pawsort.follow()
    yield pawsort
    pawsort.close()


def remove_tree(path: Path) -> None:
    """Remove a folder with all below it."""
    shutil.rmtree(path)
