"""The database as the server sees it: opened at the first need, for all threads, and again if replaced."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Literal

from sqlalchemy import Engine

from db.connection.engine import assert_in_place, open_database
from db.connection.errors import DatabaseError
from pipeline.config import Settings

Access = Literal["read", "write"]

PATIENCE_SECONDS: dict[Access, float] = {"read": 1.0, "write": 4.0}
"""How long somebody who looks at a page waits for a locked database, and somebody who corrects."""


class DatabaseProvider:
    """Hands out engines; `reader` and `writer` raise DatabaseError, which becomes a clear 503."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engines: dict[Access, Engine] = {}
        self._lock = threading.Lock()

    @property
    def is_new(self) -> bool:
        """Whether no worker has been here yet, so that there is nothing to ask."""
        traces = (self._settings.state / "pawsort.db", self._settings.state / "heartbeat.json")
        return self._settings.database is None and not any(trace.exists() for trace in traces)

    def reader(self) -> Engine | None:
        """Return an engine that only reads, or None where `is_new`."""
        return None if self.is_new else self._engine("read")

    def writer(self) -> Engine:
        """Return an engine for corrections."""
        return self._engine("write")

    def close(self) -> None:
        """Let go of the database."""
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
                engine.dispose()  # somebody put another file in its place, such as a backup
                del self._engines[access]
            self._engines[access] = open_database(
                self._settings.database_url, access, PATIENCE_SECONDS[access]
            )
            return self._engines[access]
