"""The database engines of the server: opened on first use, reopened if the file is replaced."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Literal

from sqlalchemy import Engine

from db.connection.engine import assert_in_place, open_database, owned_by
from db.connection.errors import DatabaseError
from db.queries.requests import has_one_owner
from pipeline.settings.config import Settings
from pipeline.worker.identity import own_id

Access = Literal["read", "write"]

LOCK_WAIT_SECONDS: dict[Access, float] = {"read": 1.0, "write": 4.0}
"""How long a page and a correction wait for a locked database."""


class DatabaseProvider:
    """Provides engines; `reader` and `writer` raise DatabaseError, which is answered 503."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: dict[Access, Engine] = {}
        self._own: tuple[Engine, int, Engine] | None = None
        self._lock = threading.Lock()
        self._was_there = False

    @property
    def is_new(self) -> bool:
        """Whether no worker has run yet, so that there is no database; one that vanished is an error."""
        if self._was_there:
            return False
        traces = (self._settings.state / "pawsort.db", self._settings.state / "heartbeat.json")
        return self._settings.database is None and not any(trace.exists() for trace in traces)

    def reader(self) -> Engine | None:
        """Return a read-only engine, None if `is_new`."""
        return None if self.is_new else self._engine("read")

    def writer(self) -> Engine:
        """Return an engine for corrections."""
        return self._engine("write")

    def own(self) -> Engine:
        """Return an engine for corrections that sees the files of this machine's worker alone."""
        engine = self.writer()
        if has_one_owner(engine):
            return engine
        id = own_id(engine, self._settings)
        with self._lock:
            if self._own is None or self._own[:2] != (engine, id):
                self._close_own()
                self._own = engine, id, owned_by(engine, id, "write")
            return self._own[2]

    def _close_own(self) -> None:
        if self._own is not None:
            self._own[2].dispose()
        self._own = None

    def close(self) -> None:
        """Close the engines."""
        with self._lock:
            self._close_own()
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()

    def _engine(self, access: Access) -> Engine:
        with self._lock:
            engine = self._engines.get(access)
            if engine is not None:
                with suppress(DatabaseError):
                    assert_in_place(engine)
                    return engine
                engine.dispose()  # the file was replaced, for example by a backup
                del self._engines[access]
            self._engines[access] = open_database(
                self._settings.database_url, access, LOCK_WAIT_SECONDS[access]
            )
            self._was_there = True
            return self._engines[access]
