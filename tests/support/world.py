"""Folders, a database and a stub classifier, and workers that live in them one after another."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from db.connection.engine import open_database
from models.bundle.bundle import Bundle
from pipeline import config
from pipeline.config import Settings
from pipeline.worker.loop import Worker
from pipeline.worker.startup import prepare_folders
from tests.support.house import empty_database
from tests.support.oracle import files_below
from tests.support.stub_classifier import BUNDLE, StubClassifier

SETTINGS = """
inboxes: [inbox, scans]
decision: {min_confidence: 0.9}
batch: {size: 4, wait_seconds: 0}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
limits: {file_mb: 0.001}
"""


class World:
    """Folders, a database and a stub classifier; a new worker for each life."""

    def __init__(self, folder: Path, text: str = SETTINGS) -> None:
        path = folder / "config.yaml"
        path.write_text(text, encoding="utf-8")
        self.settings: Settings = config.load(path)
        prepare_folders(self.settings)
        self.injected: list[bytes] = []
        self.classifier = StubClassifier()
        self._engines: list[Engine] = []

    def drop(self, name: str | bytes, data: bytes, inbox: int = 0) -> bytes:
        path = os.path.join(os.fsencode(self.settings.inboxes[inbox]), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
        self.injected.append(data)
        return path

    def worker(
        self, classifier: StubClassifier | None = None, bundle: Bundle = BUNDLE, **options: Any
    ) -> Worker:
        self.classifier = classifier or StubClassifier()
        database = self.settings.state / "pawsort.db"
        if not self._engines and not database.exists():
            database.write_bytes(empty_database())
        engine = open_database(self.settings.database_url)
        self._engines.append(engine)
        return Worker(self.settings, bundle, engine, self.classifier, **options)

    def live(self, classifier: StubClassifier | None = None, bundle: Bundle = BUNDLE) -> Worker:
        """One whole life: start, file everything, stop."""
        worker = self.worker(classifier, bundle)
        run_until_idle(worker)
        worker.stop()
        return worker

    def rows(self, columns: str = "name, outcome, reason") -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.settings.state / "pawsort.db") as database:
            return database.execute(f"SELECT {columns} FROM results ORDER BY id").fetchall()

    def sorted(self) -> set[str]:
        top = os.fsencode(self.settings.sorted)
        return {os.fsdecode(os.path.relpath(path, top)) for path in files_below(self.settings.sorted)}

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()


def run_until_idle(worker: Worker, steps: int = 3000) -> None:
    worker.start()
    for _ in range(steps):
        worker.step()
        if worker.idle:
            return
    held = worker.in_flight.held
    raise AssertionError(f"not idle after {steps} steps: {held} held, trouble: {worker.trouble}")


def step_until(worker: Worker, done: Callable[[], object], steps: int = 3000) -> None:
    for _ in range(steps):
        if done():
            return
        worker.step()
    raise AssertionError(f"waited in vain for {steps} steps")
