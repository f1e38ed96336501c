"""Opening the database, and the two kinds of transaction, `reading` and `writing`.

What is SQLite's own is in `db.connection.sqlite`; what is PostgreSQL's own is here, in one function.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from db.connection import sqlite
from db.connection.errors import (
    CommitUnclear,
    DatabaseError,
    DatabaseReserved,
    DatabaseUnavailable,
    LedgerError,
    translated,
)
from db.connection.versions import check_version, migrate, version

__all__ = [
    "DatabaseError",
    "DatabaseReserved",
    "DatabaseUnavailable",
    "LedgerError",
    "Mode",
    "assert_in_place",
    "check_damage",
    "check_url",
    "exists",
    "forget_connections",
    "open_database",
    "reading",
    "reserved",
    "schema_version",
    "upgrade",
    "wal_bytes",
    "writing",
]

Mode = Literal["worker", "write", "read"]

BUSY_SECONDS = 4.0
"""How long a transaction waits for another process; less than a worker may be silent before it looks dead."""

_EXPECTED = "Expected null, sqlite:////absolute/path.db or postgresql://user:password@host/name."

_places: weakref.WeakKeyDictionary[Engine, sqlite.Place] = weakref.WeakKeyDictionary()
_inherited: list[Any] = []


def open_database(url: str, mode: Mode = "worker", busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open the database at `url`, a SQLAlchemy URL of SQLite or PostgreSQL, and check that it is ours.

    "worker": made if it is not there, and an SQLite file is read through for damage. "write": must be there.
    "read": must be there; never creates, blocks or writes. An existing file is never overwritten or deleted.
    A transaction waits up to `busy_seconds` for another process (on PostgreSQL BUSY_SECONDS, always).
    Raises DatabaseError if it is missing, empty, damaged, not ours or of another version; DatabaseUnavailable
    if it is locked or out of reach.
    """
    address = _parse(url)
    if _is_absent(address):
        if mode != "worker":
            raise DatabaseError(
                f"There is no database at {_where(address)}. The worker makes it at its first start; "
                "check `state` and `database` in the settings."
            )
        upgrade(url)
    engine = _create_engine(address, mode, busy_seconds)
    try:
        _check(engine, mode)
    except BaseException:
        engine.dispose()
        raise
    return engine


def check_url(url: str) -> None:
    """Raise DatabaseError unless `url` names a database that could be used; nothing is opened."""
    _parse(url)


def exists(url: str) -> bool:
    """Tell whether there is something at `url`; of a server, always. Raises DatabaseError for a wrong URL."""
    return not _is_absent(_parse(url))


def schema_version(engine: Engine) -> str | None:
    """Return the version of a database's schema; raises DatabaseError."""
    with reading(engine) as connection:
        return version(connection, _where(engine.url))


def upgrade(url: str) -> None:
    """Make the database at `url`, or bring it to this version, in one transaction.

    Raises DatabaseError for one that is newer than this Pawsort, damaged or not ours.
    """
    address = _parse(url)
    if _is_absent(address):
        _make(address)
    else:
        _refuse_empty(address)
        _migrate(address, _where(address))


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that only reads; raises DatabaseError."""
    with translated(_where(engine.url)), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that writes, committed at the end of the block.

    Raises DatabaseError; CommitUnclear, where the commit itself failed. SQLite's -wal holds all of a
    transaction whose sync the disk refused, and whoever opens the database next takes it for committed; a
    server may have committed before its answer was lost.
    """
    with translated(_where(engine.url)), engine.connect() as connection:
        connection = connection.execution_options(**{sqlite.WRITES: True})
        with connection.begin() as transaction:
            yield connection
            with _unclear(_where(engine.url)):
                transaction.commit()


@contextmanager
def _unclear(where: str) -> Iterator[None]:
    try:
        with translated(where):
            yield
    except DatabaseUnavailable as error:
        raise CommitUnclear(str(error)) from error


@contextmanager
def reserved(engine: Engine) -> Iterator[None]:
    """Keep every other worker off the database until the block ends; raises DatabaseReserved.

    Two workers with state folders of their own would take each other's unfinished files for their own.
    """
    if engine.dialect.name == "sqlite":
        with sqlite.reserved(_where(engine.url)):
            yield
        return
    where = _where(engine.url)
    with translated(where):
        connection = engine.connect()
    with closing(connection):
        with translated(where):
            is_ours = connection.scalar(select(func.pg_try_advisory_lock(_WORKER_KEY)))
            connection.commit()
        if not is_ours:
            raise DatabaseReserved(f"another worker uses the database {where}; stop it first")
        yield
        # The lock belongs to the session, which the pool would keep.
        connection.invalidate()


_WORKER_KEY = int.from_bytes(b"pawsort", "big")
"""Of the advisory lock; a number that no other program has reason to choose."""


def assert_in_place(engine: Engine) -> None:
    """Raise DatabaseError if the SQLite file, its -wal or its -shm was deleted or replaced while open.

    Costs three stats; does nothing on PostgreSQL.
    """
    place = _places.get(engine)
    if place is not None:
        place.check()


def forget_connections(engine: Engine) -> None:
    """Have the next transaction open the database anew.

    SQLite opens a file for reading only where it may not write, and stays at that when it may.
    """
    engine.dispose()


def wal_bytes(engine: Engine) -> int:
    """Return the size of an SQLite database's -wal in bytes, 0 where there is none."""
    return sqlite.wal_bytes(_where(engine.url)) if engine.dialect.name == "sqlite" else 0


def check_damage(engine: Engine) -> None:
    """Read an SQLite database through; raises DatabaseError if it is damaged."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            sqlite.refuse_damage(connection, _where(engine.url))


def _parse(url: str) -> URL:
    try:
        address = make_url(url)
        backend = address.get_backend_name()
        address.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise DatabaseError(f"`database` is no URL that can be used: {error}. {_EXPECTED}") from error
    except ImportError as error:
        advice = "`pip install 'psycopg[binary]'` installs it." if backend == "postgresql" else _EXPECTED
        raise DatabaseError(f"The driver for {backend} is not installed ({error}). {advice}") from error
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseError(f"`database` names {backend}, which is not supported. {_EXPECTED}")
    if backend == "sqlite" and address.database in (None, "", ":memory:"):
        raise DatabaseError(f"`database` names an SQLite database in memory, which forgets. {_EXPECTED}")
    return address


def _where(address: URL) -> str:
    if address.get_backend_name() == "sqlite":
        return sqlite.path_of(address)
    return address.render_as_string(hide_password=True)


def _is_absent(address: URL) -> bool:
    return address.get_backend_name() == "sqlite" and not os.path.lexists(sqlite.path_of(address))


def _refuse_empty(address: URL) -> None:
    if address.get_backend_name() == "sqlite":
        sqlite.refuse_empty(sqlite.path_of(address))


def _create_engine(address: URL, mode: Mode, busy_seconds: float = BUSY_SECONDS) -> Engine:
    if address.get_backend_name() == "sqlite":
        engine, place = sqlite.make_engine(address, mode == "read", busy_seconds)
        _places[engine] = place
    else:
        engine = _postgres_engine(address, mode)
    _refuse_forks(engine)
    return engine


# A server that is cut off must not hang the worker for as long as TCP would.
_PATIENCE = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip


def _postgres_engine(address: URL, mode: Mode) -> Engine:
    options = [f"lock_timeout={int(BUSY_SECONDS * 1000)}", "timezone=UTC"]
    if mode == "read":
        options.append("default_transaction_read_only=on")
    settings = " ".join(f"-c {option}" for option in options)
    # A server may restart while the worker runs: a connection is tried before it is used.
    return create_engine(
        address, pool_pre_ping=True, hide_parameters=True, connect_args={"options": settings, **_PATIENCE}
    )


def _refuse_forks(engine: Engine) -> None:
    owner = os.getpid()

    @event.listens_for(engine, "checkout")
    def _check_owner(connection: object, record: Any, proxy: Any) -> None:
        if os.getpid() != owner:
            # Closing it here would act on the parent's locks, so it is kept, unused, until the child ends.
            _inherited.append(connection)
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DatabaseError(
                f"The database {_where(engine.url)} was opened by process {owner} and cannot be used in its "
                f"child {os.getpid()}. Start the child with spawn, and open the database there."
            )


def _check(engine: Engine, mode: Mode) -> None:
    _refuse_empty(engine.url)
    with reading(engine) as connection:
        if mode == "worker" and engine.dialect.name == "sqlite":
            sqlite.refuse_damage(connection, _where(engine.url))
            sqlite.sweep(_where(engine.url))
        if mode != "worker" or inspect(connection).get_table_names():
            check_version(connection, _where(engine.url))
            return
    # A new PostgreSQL database has no tables yet.
    with writing(engine) as connection:
        migrate(connection, _where(engine.url))


def _migrate(address: URL, where: str) -> None:
    engine = _create_engine(address, "worker")
    try:
        with writing(engine) as connection:
            migrate(connection, where)
    finally:
        # In SQLite, closing the last connection moves the -wal into the file and deletes it.
        engine.dispose()


def _make(address: URL) -> None:
    """Make an SQLite file beside its place and link it there: a crash leaves either none or a whole one."""
    path = sqlite.path_of(address)
    scratch = None
    try:
        scratch = sqlite.make_scratch(path)
        _migrate(address.set(database=scratch), path)
        with translated(path):
            sqlite.refuse_unfinished(scratch, path)
        sqlite.put_in_place(scratch, path)
    except OSError as error:
        raise DatabaseUnavailable(
            f"The database {path} cannot be made: {error.strerror}. See that its folder can be written."
        ) from error
    finally:
        if scratch is not None:
            sqlite.discard_scratch(scratch)
