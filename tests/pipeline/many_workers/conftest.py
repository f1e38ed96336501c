"""Two machines with one PostgreSQL, in this process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.connection.engine import open_database, owned_by
from db.ledger import workers
from pipeline.doctor.check import examine
from pipeline.worker.identity import identity
from pipeline.worker.loop import Worker
from pipeline.worker.startup import prepare_folders
from tests.db.conftest import emptied, postgres, postgres_made, postgres_url  # noqa: F401 - fixtures
from tests.pipeline.cli.conftest import run  # noqa: F401 - a fixture
from tests.support.installation import QUICK, Installation
from tests.support.oracle import conserved
from tests.support.stub_classifier import BUNDLE, StubClassifier


class Machine(Installation):
    """The installation of one machine, whose worker is `name`; `engine` has its own files alone."""

    def __init__(self, folder: Path, url: str, name: str, more: str = "") -> None:
        self.name = name
        super().__init__(folder / name, f"{QUICK}database: {url}\nworker: {name}\n{more}")

    def prepare(self) -> None:
        """Make the folders; the database is there."""
        prepare_folders(self.settings)
        who = identity(self.settings)
        self.id = workers.register(self.everyone, *who)
        workers.started(self.everyone, self.id, *who, datetime.now(UTC))

    @functools.cached_property
    def everyone(self) -> Engine:
        self._engines.append(open_database(self.settings.database_url))
        return self._engines[-1]

    def worker(self, classifier: StubClassifier | None = None, *_: object, **options: Any) -> Worker:
        """Return a worker that is not started yet."""
        self.classifier = classifier or StubClassifier()
        given = self.settings, BUNDLE, self.engine, self.classifier
        return Worker(*given, everyone=self.everyone, **options)

    def rows(self, columns: str = "name, outcome, reason", condition: str = "true") -> list[tuple[Any, ...]]:
        """Ask the view of results for the rows of this machine."""
        mine = f"SELECT {columns} FROM results WHERE worker = '{self.name}' AND ({condition}) ORDER BY id"
        with self.everyone.connect() as connection:
            return list(map(tuple, connection.exec_driver_sql(mine).all()))

    def is_sound(self) -> None:
        """Check that nothing is lost or doubled here, and that `doctor` finds nothing."""
        conserved(self.settings, self.injected)
        assert [str(problem) for problem in examine(self.engine, self.settings, hashes=True)] == []

    def _open(self) -> Engine:
        self._engines.append(owned_by(self.everyone, self.id))
        return self._engines[-1]


@pytest.fixture
def ann(tmp_path: Path, postgres_made: str) -> Iterator[Machine]:  # noqa: F811 - the fixture
    emptied(postgres_made).dispose()
    machine = Machine(tmp_path, postgres_made, "ann")
    yield machine
    machine.close()


@pytest.fixture
def bob(ann: Machine, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, ann.settings.database_url, "bob")
    yield machine
    machine.close()
