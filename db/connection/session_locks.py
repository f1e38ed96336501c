"""Locks of a session of PostgreSQL, which all machines see and which end with the session."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import BigInteger, Connection, Engine, cast, column, func, select, table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from db.connection.address import location
from db.connection.errors import translated

Key = tuple[int, int]
"""The two numbers of an advisory lock."""

_REPORTER = int.from_bytes(b"pawr", "big")
"""First number of the locks of who reports, likely of no other program: with 0 it is the lock itself, with
the id of a worker it says who has it."""


class SessionLocks:
    """Some advisory locks, held together by a session of its own."""

    def __init__(self, engine: Engine, *keys: Key) -> None:
        self._engine = engine
        self._keys = keys
        self._session: Connection | None = None

    def take(self) -> bool:
        """Take the locks; return False if another session has one. Raises DatabaseError."""
        with translated(location(self._engine.url)):
            self._session = self._engine.connect()
            taken = all(self._session.scalar(select(func.pg_try_advisory_lock(*key))) for key in self._keys)
            self._session.commit()
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


def reporters_lock(engine: Engine, worker: int) -> SessionLocks:
    """Return the locks of the one worker that reports, taken as the worker with this id."""
    return SessionLocks(engine, (_REPORTER, 0), (_REPORTER, worker))


def reporter(connection: Connection) -> int | None:
    """Return the id of the worker that has the lock of who reports, None if none has it."""
    names = "locktype", "database", "classid", "objid", "objsubid", "granted"
    locks = table("pg_locks", *map(column, names))
    databases = table("pg_database", column("oid"), column("datname"))
    here = select(databases.c.oid).where(databases.c.datname == func.current_database())
    held = select(cast(locks.c.objid, BigInteger)).where(
        locks.c.locktype == "advisory",
        locks.c.database == here.scalar_subquery(),
        locks.c.granted,
        locks.c.objsubid == 2,  # of locks with two numbers
        cast(locks.c.classid, BigInteger) == _REPORTER,
        cast(locks.c.objid, BigInteger) > 0,
    )
    found: int | None = connection.scalar(held)
    return found
