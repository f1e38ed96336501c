"""A machine among others: an installation whose files are rows of a PostgreSQL that all share."""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from db.connection.engine import open_database, owned_by
from db.ledger import workers
from pipeline.requests.carry_out import RequestStep
from pipeline.worker.identity import identity
from pipeline.worker.startup import prepare_folders
from tests.support.installation import FOLDERS, QUICK, Installation, wait


class Machine(Installation):
    """An installation with the worker `name`, which owns what it files, in the database at `url`."""

    def __init__(self, folder: Path, url: str, name: str, settings: str = "") -> None:
        self._url = url
        super().__init__(folder, f"{QUICK}database: {url}\nworker: {name}\n{settings}")
        self.name = name
        self.id = workers.register(self.everyone, *identity(self.settings))
        self.beat()

    def prepare(self) -> None:
        """Make all folders, and the tables if they are missing."""
        prepare_folders(self.settings)

    def beat(self, at: datetime | None = None, address: str | None = None) -> None:
        """Give a sign of life, with the address of the pages."""
        workers.beat(self.everyone, self.id, at or datetime.now(UTC), {}, address)

    def requests(self) -> RequestStep:
        """Return the part of its worker that carries out requests."""
        return RequestStep(self.engine, self.everyone, self.id, self.settings, lambda: FOLDERS)

    def answer_requests(self) -> None:
        """Carry out all open requests to it."""
        step = self.requests()
        wait(lambda: step.advance() or step.idle, "the requests")

    def path(self, name: str) -> bytes:
        """Return the path of a file below `sorted`."""
        return os.path.join(self.raw_sorted, os.fsencode(name))

    @functools.cached_property
    def everyone(self) -> Engine:
        """The database with the files of all machines."""
        self._engines.append(open_database(self._url))
        return self._engines[-1]

    def _open(self) -> Engine:
        self._engines.append(owned_by(self.everyone, self.id))
        return self._engines[-1]
