"""Code for SQLite alone; only `db.connection` and `db.queries.search.name_search` import it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from db.connection.errors import DatabaseError, DatabaseReserved, DatabaseUnavailable

WRITES = "pawsort_writes"
"""The execution option of a connection whose transactions write."""


FINISH_SECONDS = 4.0
"""Seconds to wait for a new, unfinished database, which no other process should have open."""


ABANDONED_SECONDS = 86_400.0
"""Age from which an unfinished database is taken for abandoned where the file system has no locks."""


WAL_BYTES = 4 << 20
"""Size to which an unused -wal shrinks: as large as SQLite's automatic checkpoints keep it."""


def path_of(address: URL) -> str:
    """Return the absolute path of the file that `address` names."""
    return os.path.abspath(str(address.database))


def make_engine(address: URL, read_only: bool, busy_seconds: float) -> tuple[Engine, Place]:
    """Return an engine for an existing file, and the check that the file stays in place.

    WAL, synchronous FULL, foreign keys on; writes begin IMMEDIATE and wait `busy_seconds` for a lock.
    """
    path = path_of(address)
    # rw, unlike the default rwc, never makes a file.
    uri = reading_uri(path) if read_only else f"file:{urllib.parse.quote(os.fsencode(path))}?mode=rw"
    engine = create_engine(
        address,
        hide_parameters=True,
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=busy_seconds, check_same_thread=False),
    )
    place = Place(path)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # Otherwise the sqlite3 module begins transactions itself, too late and never IMMEDIATE.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if not read_only:
            refuse_without_search(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            # It grows while a reader uses an older state, and must shrink afterwards.
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        # The first read opens the -wal, so that its inode is known.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        place.opened()

    @event.listens_for(engine, "close")
    def _closed(_connection: object, _record: object) -> None:
        place.closed()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that begins as a read may fail when it first writes, if another wrote meanwhile.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine, place


def reading_uri(path: str) -> str:
    """Return the URI by which SQLite opens an existing file to read it."""
    return f"file:{urllib.parse.quote(os.fsencode(path))}?{_reading(path)}"


def _reading(path: str) -> str:
    # Even a reader makes a missing -wal. If it may not, in another user's folder or on a read-only disk, it
    # reads the file alone, which is safe as long as no process has it open.
    may_make = os.access(os.path.dirname(path), os.W_OK)
    return "mode=ro" if may_make or os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"


class Place:
    """The files that an engine has open, by device and inode.

    SQLite continues to write into a deleted file without an error.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: dict[str, tuple[int, int]] = {}
        self._connections = 0

    def opened(self) -> None:
        """Count a connection; the first records the files, each later one must find the same."""
        self.check()
        if not self._connections:
            names = (self._path, f"{self._path}-wal", f"{self._path}-shm")
            self._seen = {name: identity for name in names if (identity := _identity(name))}
        self._connections += 1

    def closed(self) -> None:
        """Uncount a connection; SQLite deletes the -wal with the last one."""
        self._connections -= 1
        if not self._connections:
            self._seen = {name: self._seen[name] for name in self._seen if name == self._path}

    def check(self) -> None:
        """Raise DatabaseError if one of the files was deleted or replaced while open."""
        for name, identity in self._seen.items():
            if _identity(name) != identity:
                raise DatabaseError(
                    f"The database file {name} was deleted or replaced while Pawsort had it open. Nothing "
                    "more is written. Stop what did that, put the file or a backup back, and start again."
                )


def can_search(connection: Connection | sqlite3.Connection) -> bool:
    """Return whether this SQLite has full-text search, which the index of names needs."""
    run = connection.execute if isinstance(connection, sqlite3.Connection) else connection.exec_driver_sql
    return run("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is not None


def refuse_without_search(connection: sqlite3.Connection) -> None:
    """Raise DatabaseError if this SQLite cannot write the index of names."""
    if not can_search(connection):
        raise DatabaseError(
            f"The SQLite {sqlite3.sqlite_version} of this Python was built without full-text search (FTS5), "
            "which the database needs. Use a Python that has it: those of python.org, of uv and of the usual "
            "distributions do."
        )


def refuse_empty(path: str) -> None:
    """Raise DatabaseError for a file of 0 bytes, which SQLite would take for a new database."""
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        raise DatabaseError(
            f"The database {path} is an empty file: its content is lost. It is left as it is. Put a backup "
            "in its place, or delete it to start a new one, and run `pawsort doctor --repair`, which records "
            "the photos that have no row."
        )


def refuse_damage(connection: Connection, path: str) -> None:
    """Read the whole file and raise DatabaseError if it is damaged."""
    said = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    if said != "ok":
        raise DatabaseError(
            f"The database {path} is damaged, and is left as it is ({' '.join(said.split())}). "
            "Move it away and put a backup in its place, or try `sqlite3 OLD .recover | sqlite3 NEW` with a "
            "sqlite3 that has .recover, as the one of sqlite.org: that of Debian 12 has not."
        )


@contextmanager
def scratch_of(path: str, mode: int) -> Iterator[str]:
    """Make an empty file beside `path` for a new database, and delete what there is of it in the end.

    It is locked meanwhile, by flock, which is none of SQLite's locks. Raises OSError.
    """
    scratch = f"{path}.{secrets.token_hex(4)}.new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield scratch
    finally:
        _discard(scratch)
        os.close(descriptor)  # at last, since it drops SQLite's locks


def sweep(path: str) -> None:
    """Delete unfinished databases of `path` that killed processes left, if possible."""
    folder, name = os.path.split(path)
    left = re.compile(f"({re.escape(name)}\\.(?:\\d+|[0-9a-f]{{8}})\\.new)(-wal|-shm|-journal)?")
    with suppress(OSError):
        for scratch in {match[1] for entry in os.listdir(folder) if (match := left.fullmatch(entry))}:
            if not _is_being_made(place := os.path.join(folder, scratch)):
                _discard(place)


def _is_being_made(scratch: str) -> bool:
    """Return whether a process has the lock of a new database, which a killed one has no longer.

    Not whether there is a process of some number, since containers have numbers of their own.
    """
    try:
        descriptor = os.open(scratch, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return time.time() - os.fstat(descriptor).st_mtime < ABANDONED_SECONDS
    finally:
        os.close(descriptor)
    return False


def refuse_unfinished(scratch: str, path: str) -> None:
    """Raise unless all of a new database is in its main file.

    Closing it moves the -wal into it, without an error if the disk refuses. Raises sqlite3.Error, or
    DatabaseUnavailable about `path`.
    """
    uri = f"file:{urllib.parse.quote(os.fsencode(scratch))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=FINISH_SECONDS)) as connection:
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    left = f"{scratch}-wal"
    if busy or (os.path.exists(left) and os.path.getsize(left)):
        raise DatabaseUnavailable(f"The database {path} cannot be made: the disk refused it. Check the disk.")


def put_in_place(scratch: str, path: str) -> None:
    """Give the finished database `scratch` its name, durably, unless one exists by now; raises OSError."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        return
    except OSError:
        # The file system has no hard links.
        os.rename(scratch, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _discard(scratch: str) -> None:
    """Delete the files of an unfinished database, if possible; else `sweep` does it later."""
    for name in (scratch, *(f"{scratch}-{part}" for part in ("wal", "shm", "journal"))):
        with suppress(OSError):
            os.unlink(name)


def wal_bytes(path: str) -> int:
    """Return the size in bytes of the -wal of the database at `path`, 0 if there is none."""
    try:
        return os.path.getsize(f"{path}-wal")
    except OSError:
        return 0


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def reserved(path: str, mode: int) -> Iterator[None]:
    """Lock a file beside the database; closing the database file itself would drop SQLite's locks."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatabaseReserved(f"another worker uses the database {path}; stop it first") from error
        yield
    finally:
        os.close(descriptor)
