"""Locks of a session of PostgreSQL, which all machines see and which end with the session."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from db.connection.address import location
from db.connection.errors import DatabaseError, translated

Key = tuple[int, int]
"""The two numbers of an advisory lock."""

WORKERS, REPORTER, WATCHER = (int.from_bytes(word, "big") for word in (b"paws", b"pawr", b"paww"))
"""First numbers of the locks of workers, of the one that reports, and of the one that says which are silent,
likely of no other program. The second is the id of the worker; of the last two also 0, the lock itself."""


class SessionLocks:
    """Some advisory locks, held together by a session of its own."""

    def __init__(self, engine: Engine, *keys: Key) -> None:
        self._engine = engine
        self._keys = keys
        self._session: Connection | None = None

    def take(self) -> bool:
        """Take the locks; return False if another session has one. Raises DatabaseError."""
        taken = False
        try:
            with translated(location(self._engine.url)):
                self._session = self._engine.connect()
                taken = all(
                    self._session.scalar(select(func.pg_try_advisory_lock(*key))) for key in self._keys
                )
                self._session.commit()
        except DatabaseError:
            self.free()  # the session may live, and have some of the locks
            raise
        if not taken:
            self.free()
        return taken

    def hold(self) -> bool:
        """Take the locks again if the server has ended their session; return whether they are held.

        Raises DatabaseError.
        """
        if self.is_held:
            return True
        self.free()
        return self.take()

    @property
    def is_held(self) -> bool:
        """Whether the session lives, as the server says."""
        if self._session is None:
            return False
        try:
            self._session.execute(select(1))
            self._session.commit()
        except DBAPIError:
            return False
        return True

    def free(self) -> None:
        """Free the locks."""
        session, self._session = self._session, None
        if session is None:
            return
        # Freed here, since a server frees them only some time after the session has ended.
        with suppress(SQLAlchemyError):  # the session may have ended
            session.execute(select(func.pg_advisory_unlock_all()))
            session.commit()
        session.invalidate()  # else the pool would keep the session
        session.close()


def lock_of_one(engine: Engine, first: int, worker: int) -> SessionLocks:
    """Return the locks, REPORTER or WATCHER, of what one worker does for all, for the one with this id."""
    return SessionLocks(engine, (first, 0), (first, worker))


# Source: PostgreSQL, "pg_locks": the two numbers of an advisory lock are its `classid` and `objid`.
_HELD = (
    "FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid::bigint = :first "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def holders(connection: Connection, first: int) -> set[int]:
    """Return the second numbers of the locks with this first number that sessions hold now."""
    return set(connection.execute(text(f"SELECT objid::bigint {_HELD}"), {"first": first}).scalars())


def end_session(engine: Engine, first: int, worker: int) -> None:
    """End the session that has the lock `first` of a worker, unless it is of another role.

    Raises DatabaseError.
    """
    mine = "SELECT pid FROM pg_stat_activity WHERE usename = current_user"
    ended = text(f"SELECT pg_terminate_backend(pid) {_HELD} AND objid::bigint = :worker AND pid IN ({mine})")
    with translated(location(engine.url)), engine.connect() as connection:
        connection.execute(ended, {"first": first, "worker": worker})
