"""Folders for a worker that faults are injected into, and the check of the whole afterwards."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat
from tests.support.forked_worker import SETTINGS, Life, Nursery
from tests.support.oracle import conserved, files_below
from tests.support.stub_worker import DEFECT

PATIENCE_SECONDS = float(os.environ.get("FAULTS_PATIENCE_SECONDS", "120"))
"""Much longer than anything takes: only a machine that is busy with other things comes near it."""


class Site:
    """A folder with settings, files to drop into it, and workers on it, of a nursery.

    With a photo, its workers have the real network, and the photo is what must still be filed at the end.
    """

    def __init__(
        self, folder: Path, nursery: Nursery, settings: str = SETTINGS, photo: bytes | None = None
    ) -> None:
        self.folder = folder
        self.injected: list[bytes] = []
        self._nursery = nursery
        self._photo = photo
        (folder / "config.yaml").write_text(settings, encoding="utf-8")
        self.settings = config.load(folder / "config.yaml")
        self.inbox = self.settings.inboxes[0]
        for inbox in self.settings.inboxes:
            inbox.mkdir(exist_ok=True)
        self.lives: list[Life] = []

    def drop(self, name: str | bytes, data: bytes, inbox: int = 0) -> bytes:
        """Put a new file into an inbox, renamed there when it is whole."""
        path = os.path.join(os.fsencode(self.settings.inboxes[inbox]), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
        self.injected.append(data)
        return path

    def start(self, **order: Any) -> Life:
        """Start a worker."""
        order = {"folder": str(self.folder), "real": self._photo is not None, **order}
        life = self._nursery.worker({**order})  # type: ignore[typeddict-item]
        self.lives.append(life)
        return life

    def live(self, **order: Any) -> int:
        """Let a worker file what there is, and end; return its exit code."""
        return self.start(once=True, **order).wait(PATIENCE_SECONDS)

    def wait(self, done: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something has come true."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"waited in vain for {what}:\n{self.log[-3000:]}"
            time.sleep(0.02)

    def wait_until_filed(self, count: int | None = None, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all that was dropped, or `count` files, are in their folders and their rows say so."""
        goal = len(self.injected) if count is None else count
        self.wait(lambda: len(self.rows("id", "state = 'filed'")) >= goal, f"{goal} files", seconds)

    def ends_well(self, corrected: bool = False) -> None:
        """Check that nothing is lost or doubled, and that a fresh photo is still filed.

        If files were `corrected`, a file that was retried has a new row beside its old one.
        """
        fresh = b"fresh<cat>" if self._photo is None else self._photo
        if self.lives and self.lives[-1].state not in "XZ":
            self.drop("fresh.jpg", fresh)
            self.wait(lambda: self.rows("id", "name = 'fresh.jpg' AND state = 'filed'"), "the fresh photo")
            self.lives[-1].signal(15)
            assert self.lives[-1].wait() == 143
        else:
            self.drop("fresh.jpg", fresh)
            code = self.live()
            assert code in (0, 1), f"exit code {code}:\n{self.log[-3000:]}"
        conserved(self.settings, self.injected)
        assert corrected or len(self.rows("id")) == len(self.injected), self.rows("id, name, state, reason")
        [(outcome,)] = self.rows("outcome", "name = 'fresh.jpg'")
        assert outcome in ("cats", "dogs", "uncertain")[: 1 if self._photo is None else None]

    def wait_until_paused(self, why: str, seconds: float = 5.0) -> None:
        """Wait until the sign of life says that the worker is paused, and why."""

        def told() -> bool:
            beat = self.beat
            return beat is not None and beat.state == "paused" and why in " ".join(beat.reasons)

        self.wait(told, f"{why} in the heartbeat", seconds)
        assert self.beat is not None
        assert self.beat.health == "red"

    def wait_until_watching(self) -> None:
        """Wait until the sign of life says that all is well."""
        self.wait(
            lambda: self.beat and self.beat.state == "watching" and self.beat.health == "ok", "watching"
        )

    def rows(self, columns: str, condition: str = "true") -> list[tuple[Any, ...]]:
        """Ask the view of results, without waiting for a lock."""
        path = self.settings.state / "pawsort.db"
        if not path.exists():
            return []
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.2)
        try:
            return database.execute(f"SELECT {columns} FROM results WHERE {condition} ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            database.close()

    def sorted(self) -> set[str]:
        """Name the files in the folders, relative to them."""
        top = os.fsencode(self.settings.sorted)
        return {os.fsdecode(os.path.relpath(path, top)) for path in files_below(self.settings.sorted)}

    @property
    def beat(self) -> Heartbeat | None:
        """The worker's last sign of life."""
        return heartbeat.read(self.settings.state / heartbeat.FILE_NAME)

    @property
    def log(self) -> str:
        """What all workers here have said."""
        path = self.folder / "worker.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs."""
        for life in self.lives:
            if life.state not in "XZ":
                life.kill()


__all__ = ["DEFECT", "Site"]
