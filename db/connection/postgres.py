"""Code for PostgreSQL alone: the engine, and the lock of the worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from db.connection.errors import DatabaseReserved, translated

# Without these, a lost connection would block the worker until TCP gives up.
_TIMEOUTS = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip

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


@contextmanager
def reserved(engine: Engine, where: str) -> Iterator[None]:
    """Hold the advisory lock of the worker on the database at `where`; raises DatabaseReserved."""
    with translated(where):
        connection = engine.connect()
    with closing(connection):
        with translated(where):
            is_locked = connection.scalar(select(func.pg_try_advisory_lock(_WORKER_KEY)))
            connection.commit()
        if not is_locked:
            raise DatabaseReserved(f"another worker uses the database {where}; stop it first")
        try:
            yield
        finally:
            # Freed here, since a server frees it only some time after the session has ended.
            with suppress(DBAPIError):
                connection.execute(select(func.pg_advisory_unlock(_WORKER_KEY)))
                connection.commit()
            connection.invalidate()  # else the pool would keep the session
