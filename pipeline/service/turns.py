"""What one of many workers does for all, and which one: by a lock of its session with the database."""

from __future__ import annotations

import time

from sqlalchemy import Engine

from db.connection.session_locks import end_session, lock_of_one
from db.queries import workers as known_workers


class Turn:
    """Whether it is the worker `worker` that does what the lock `first` of `session_locks` is for."""

    def __init__(self, engine: Engine, first: int, worker: int) -> None:
        self._engine = engine
        self._first = first
        self._lock = lock_of_one(engine, first, worker)
        self._had_it = True  # or may have had it until it was restarted
        self._vacant_since: float | None = None

    def take(self) -> bool:
        """Take the lock, or check that it is held still; return whether it is. Raises DatabaseError."""
        self._had_it = self._may_take() and self._lock.hold()
        if self._had_it:
            self._vacant_since = None
        return self._had_it

    def leave(self) -> None:
        """Leave it to another worker."""
        self.free()
        self._had_it = False

    def lose(self) -> None:
        """Note that the database does not answer: another may have the lock now."""
        self._vacant_since = None

    def free(self) -> None:
        """Free the lock."""
        self._lock.free()

    def _may_take(self) -> bool:
        """Return whether this worker had the lock, has just started, or has seen for long that none has it.

        So one that is only restarted goes on, and the reports do not change to another folder.
        """
        if self._had_it:
            return True
        now = time.monotonic()
        has_it = known_workers.having_turn(self._engine, self._first)
        if has_it is not None:
            self._vacant_since = None
            if any(each.id == has_it and each.is_silent for each in known_workers.all_workers(self._engine)):
                end_session(self._engine, self._first, has_it)  # a process that is frozen would keep the lock
            return False
        self._vacant_since = self._vacant_since or now
        return now - self._vacant_since >= known_workers.SILENT_SECONDS
