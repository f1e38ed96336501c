"""Open the database; the two kinds of transactions are `reading` and `writing`.

Code for one kind of database is in `db.connection.sqlite` and `db.connection.postgres`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event, inspect
from sqlalchemy.engine import URL

from db.connection import postgres, sqlite
from db.connection.address import is_absent, location, parse
from db.connection.errors import (
    CommitUnclear,
    DatabaseError,
    DatabaseReserved,
    DatabaseUnavailable,
    LedgerError,
    translated,
)
from db.connection.versions import check_version, migrate, version
from db.migrations import REVISIONS

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
    "outdated",
    "owned_by",
    "reading",
    "reserved",
    "schema_version",
    "upgrade",
    "wal_bytes",
    "writing",
]

Mode = Literal["worker", "write", "read"]

BUSY_SECONDS = 4.0
"""Seconds that a transaction waits for another process; shorter than the heartbeat's limit."""

FILE_MODE = 0o644
"""Mode of new SQLite files, unless the umask or the caller wants them more private."""

_places: weakref.WeakKeyDictionary[Engine, sqlite.Place] = weakref.WeakKeyDictionary()
_inherited: list[Any] = []


def open_database(
    url: str, mode: Mode = "worker", busy_seconds: float = BUSY_SECONDS, file_mode: int = FILE_MODE
) -> Engine:
    """Open the database at `url`, a SQLAlchemy URL of SQLite or PostgreSQL, and check it.

    "worker": makes it if missing, and checks an SQLite file for damage. "write": must exist. "read": must
    exist; never creates, blocks or writes. An existing file is never overwritten or deleted. A transaction
    waits up to `busy_seconds` for another process (on PostgreSQL always BUSY_SECONDS). SQLite files are made
    with `file_mode`. Raises DatabaseError
    if it is missing, empty, damaged, not Pawsort's or of another version; DatabaseUnavailable if it is locked
    or cannot be reached.
    """
    address = parse(url)
    if is_absent(address):
        if mode != "worker":
            raise DatabaseError(
                f"There is no database at {location(address)}. The worker makes it at its first start; "
                "check `state` and `database` in the settings."
            )
        upgrade(url, file_mode)
    engine = _create_engine(address, mode, busy_seconds)
    try:
        _check(engine, mode)
    except BaseException:
        engine.dispose()
        raise
    return engine


def check_url(url: str) -> None:
    """Raise DatabaseError unless `url` names a supported database; nothing is opened."""
    parse(url)


def exists(url: str) -> bool:
    """Return whether `url` exists; True for any server. Raises DatabaseError for a wrong URL."""
    return not is_absent(parse(url))


def schema_version(engine: Engine) -> str | None:
    """Return the version of a database's schema; raises DatabaseError."""
    with reading(engine) as connection:
        return version(connection, location(engine.url))


def outdated(url: str) -> str | None:
    """Return the version of a database that `upgrade` would migrate, None if there is nothing to migrate.

    Raises DatabaseError.
    """
    address = parse(url)
    if is_absent(address):
        return None
    _refuse_empty(address)
    engine = _create_engine(address, "read")
    try:
        found = schema_version(engine)
    finally:
        engine.dispose()
    return None if found in (None, REVISIONS[-1]) else found


def upgrade(url: str, file_mode: int = FILE_MODE) -> None:
    """Make the database at `url`, or migrate it to this version, in one transaction.

    Raises DatabaseError if it is newer than this Pawsort, damaged or not Pawsort's.
    """
    address = parse(url)
    if is_absent(address):
        _make(address, file_mode)
    else:
        _refuse_empty(address)
        _migrate(address, location(address))


def owned_by(engine: Engine, worker: int, mode: Mode = "worker") -> Engine:
    """Return an engine of the same database that sees and makes rows of one worker's files alone.

    On SQLite, where all rows are of one, it is `engine` itself. The caller disposes of both.
    """
    if engine.dialect.name == "sqlite":
        return engine
    owned = postgres.make_engine(engine.url, mode == "read", BUSY_SECONDS, worker)
    _refuse_forks(owned)
    return owned


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that only reads; raises DatabaseError."""
    with translated(location(engine.url)), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that writes, committed at the end of the block.

    Raises DatabaseError, or CommitUnclear if the commit itself failed: SQLite's -wal contains all of a
    transaction whose sync the disk refused, so the next process to open the database takes it as committed; a
    server may have committed before its answer was lost.
    """
    with translated(location(engine.url)), engine.connect() as connection:
        connection = connection.execution_options(**{sqlite.WRITES: True})
        with connection.begin() as transaction:
            yield connection
            with _unclear(location(engine.url)):
                transaction.commit()


@contextmanager
def _unclear(where: str) -> Iterator[None]:
    try:
        with translated(where):
            yield
    except DatabaseUnavailable as error:
        raise CommitUnclear(str(error)) from error


@contextmanager
def reserved(engine: Engine, file_mode: int = FILE_MODE) -> Iterator[None]:
    """Lock the database against other workers until the block ends; raises DatabaseReserved.

    Two workers with different state folders would otherwise each process the other's unfinished files.
    """
    if engine.dialect.name == "sqlite":
        with sqlite.reserved(location(engine.url), file_mode):
            yield
        return
    with postgres.reserved(engine, location(engine.url)):
        yield


def assert_in_place(engine: Engine) -> None:
    """Raise DatabaseError if the SQLite file, its -wal or its -shm was deleted or replaced while open.

    Costs three stats. On PostgreSQL it takes the lock of `reserved` again if a restart of the server has
    ended it. Raises DatabaseReserved if another worker has it now.
    """
    place = _places.get(engine)
    if place is not None:
        place.check()
    postgres.assert_reserved(engine)


def forget_connections(engine: Engine) -> None:
    """Make the next transaction reopen the database.

    SQLite opens a file read-only if it may not write, and keeps it read-only after that changes.
    """
    engine.dispose()


def wal_bytes(engine: Engine) -> int:
    """Return the size of an SQLite database's -wal in bytes, 0 if there is none."""
    return sqlite.wal_bytes(location(engine.url)) if engine.dialect.name == "sqlite" else 0


def check_damage(engine: Engine) -> None:
    """Read a whole SQLite database; raises DatabaseError if it is damaged."""
    if engine.dialect.name == "sqlite":
        with reading(engine) as connection:
            sqlite.refuse_damage(connection, location(engine.url))


def _refuse_empty(address: URL) -> None:
    if address.get_backend_name() == "sqlite":
        sqlite.refuse_empty(sqlite.path_of(address))


def _create_engine(address: URL, mode: Mode, busy_seconds: float = BUSY_SECONDS) -> Engine:
    if address.get_backend_name() == "sqlite":
        engine, place = sqlite.make_engine(address, mode == "read", busy_seconds)
        _places[engine] = place
    else:
        engine = postgres.make_engine(address, mode == "read", BUSY_SECONDS)
    _refuse_forks(engine)
    return engine


def _refuse_forks(engine: Engine) -> None:
    owner = os.getpid()

    @event.listens_for(engine, "checkout")
    def _check_owner(connection: object, record: Any, proxy: Any) -> None:
        if os.getpid() != owner:
            # Closing it here would release the parent's locks, so it stays open, unused, until the child
            # ends.
            _inherited.append(connection)
            record.dbapi_connection = proxy.dbapi_connection = None
            raise DatabaseError(
                f"The database {location(engine.url)} was opened by process {owner}, not usable in its "
                f"child {os.getpid()}. Start the child with spawn, and open the database there."
            )


def _check(engine: Engine, mode: Mode) -> None:
    _refuse_empty(engine.url)
    with reading(engine) as connection:
        if mode == "worker" and engine.dialect.name == "sqlite":
            sqlite.refuse_damage(connection, location(engine.url))
            sqlite.sweep(location(engine.url))
        if mode != "worker" or inspect(connection).get_table_names():
            check_version(connection, location(engine.url))
            return
    # A new PostgreSQL database has no tables yet.
    with writing(engine) as connection:
        migrate(connection, location(engine.url))


def _migrate(address: URL, where: str) -> None:
    engine = _create_engine(address, "worker")
    try:
        with writing(engine) as connection:
            migrate(connection, where)
    finally:
        # SQLite moves the -wal into the file and deletes it when the last connection closes.
        engine.dispose()


def _make(address: URL, file_mode: int) -> None:
    """Make an SQLite file beside its path, then link it: a crash leaves either none or a complete one."""
    path = sqlite.path_of(address)
    try:
        with sqlite.scratch_of(path, file_mode) as scratch:
            _migrate(address.set(database=scratch), path)
            with translated(path):
                sqlite.refuse_unfinished(scratch, path)
            sqlite.put_in_place(scratch, path)
    except OSError as error:
        raise DatabaseUnavailable(
            f"The database {path} cannot be made: {error.strerror}. Check that its folder is writable."
        ) from error
