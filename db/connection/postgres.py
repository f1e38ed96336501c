"""Code for PostgreSQL alone: the engine, and the lock of the worker."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, create_engine, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from db.connection.errors import DatabaseReserved, translated

# Without these, a lost connection would block the worker until TCP gives up.
_TIMEOUTS = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip

CHECK_SECONDS = 1.0
"""How often a worker asks whether its lock still holds."""

_WORKER_KEY = int.from_bytes(b"pawsort", "big")
"""Key of the advisory lock; a number that no other program is likely to use."""


def make_engine(address: URL, read_only: bool, busy_seconds: float) -> Engine:
    """Return an engine whose transactions wait up to `busy_seconds` for a lock."""
    options = [f"lock_timeout={int(busy_seconds * 1000)}", "timezone=UTC"]
    if read_only:
        options.append("default_transaction_read_only=on")
    settings = " ".join(f"-c {option}" for option in options)
    # The server may restart while the worker runs, so a connection is tested before it is used.
    return create_engine(
        address, pool_pre_ping=True, hide_parameters=True, connect_args={"options": settings, **_TIMEOUTS}
    )


class _Reservation:
    """The advisory lock of the worker on the database at `where`; it ends with its session."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where
        self._session: Connection | None = None
        self._checked = time.monotonic()
        self._take()

    def check(self) -> None:
        """Take the lock again if the server has ended its session; asked about each CHECK_SECONDS.

        Raises DatabaseReserved if another worker has it now, DatabaseUnavailable.
        """
        if time.monotonic() < self._checked + CHECK_SECONDS:
            return
        if not self._is_alive():
            self.free()
            self._take()
        self._checked = time.monotonic()

    def free(self) -> None:
        """Free the lock."""
        session, self._session = self._session, None
        if session is None:
            return
        # Freed here, since a server frees it only some time after the session has ended.
        with suppress(SQLAlchemyError):  # the session may have ended
            session.execute(select(func.pg_advisory_unlock(_WORKER_KEY)))
            session.commit()
        session.invalidate()  # else the pool would keep the session
        session.close()

    def _is_alive(self) -> bool:
        if self._session is None:
            return False
        try:
            self._session.execute(select(1))
            self._session.commit()
        except DBAPIError:
            return False
        return True

    def _take(self) -> None:
        with translated(self._where):
            self._session = self._engine.connect()
            is_locked = self._session.scalar(select(func.pg_try_advisory_lock(_WORKER_KEY)))
            self._session.commit()
        if not is_locked:
            self.free()
            raise DatabaseReserved(f"another worker uses the database {self._where}; stop it first")


_reservations: weakref.WeakKeyDictionary[Engine, _Reservation] = weakref.WeakKeyDictionary()


@contextmanager
def reserved(engine: Engine, where: str) -> Iterator[None]:
    """Hold the advisory lock of the worker on the database at `where`; raises DatabaseReserved."""
    reservation = _reservations[engine] = _Reservation(engine, where)
    try:
        yield
    finally:
        del _reservations[engine]
        reservation.free()


def assert_reserved(engine: Engine) -> None:
    """Take the lock of `reserved` again if the server has lost it; raises DatabaseReserved."""
    if reservation := _reservations.get(engine):
        reservation.check()
