"""The database engines of the server: opened on first use, reopened if the file is replaced."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Literal

from sqlalchemy import Engine

from db.connection.engine import assert_in_place, open_database
from db.connection.errors import DatabaseError
from pipeline.settings.config import Settings

Access = Literal["read", "write"]

LOCK_WAIT_SECONDS: dict[Access, float] = {"read": 1.0, "write": 4.0}
"""How long a page and a correction wait for a locked database."""


class DatabaseProvider:
    """Provides engines; `reader` and `writer` raise DatabaseError, which is answered 503."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: dict[Access, Engine] = {}
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

    def close(self) -> None:
        """Close the engines."""
        with self._lock:
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
