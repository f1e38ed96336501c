"""Errors of the database, and their messages; the only module that reads errors of drivers.

DatabaseError                 stop: damaged, of another version, not Pawsort's
├── DatabaseUnavailable       pause and try again: locked, disk full, read-only, unreachable
├── DatabaseReserved          stop: another worker uses it
├── DriverMissing             stop: a package is missing
└── LedgerError               stop: a row was not in the state a transition needs
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class DatabaseError(Exception):
    """The database cannot be used; the message says what, where and what to do next."""


class DatabaseUnavailable(DatabaseError):  # noqa: N818 - it names a state
    """The database cannot be used now, but may be usable later without a change to it."""


class CommitUnclear(DatabaseUnavailable):
    """A commit failed; its changes may or may not be in the database."""


class DatabaseReserved(DatabaseError):  # noqa: N818 - it names a state
    """Another worker uses the database."""


class DriverMissing(DatabaseError):  # noqa: N818 - named by what happened
    """The driver of the database is not installed; `package` has it."""

    def __init__(self, message: str, package: str) -> None:
        super().__init__(f"{message} Install {package}.")
        self.package = package


class LedgerError(DatabaseError):
    """A row was not in the state that a transition starts from; nothing was written."""


_SQLITE: dict[int, tuple[type[DatabaseError], str]] = {
    sqlite3.SQLITE_BUSY: (
        DatabaseUnavailable,
        "is locked by another program for too long. Close the program that has it open for writing.",
    ),
    sqlite3.SQLITE_LOCKED: (DatabaseUnavailable, "is locked by another connection. Try again."),
    sqlite3.SQLITE_READONLY: (
        DatabaseUnavailable,
        "cannot be written: the file, its folder or the file system is read-only. Make it writable.",
    ),
    sqlite3.SQLITE_FULL: (DatabaseUnavailable, "cannot grow: the disk is full. Free some space."),
    sqlite3.SQLITE_IOERR: (
        DatabaseUnavailable,
        "cannot be read or written: the disk reports an error. Check the disk or the share it is on.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        DatabaseUnavailable,
        "cannot be opened. Check that its folder exists and may be read and written by this user.",
    ),
    sqlite3.SQLITE_PERM: (DatabaseUnavailable, "may not be opened by this user. Change its permissions."),
    sqlite3.SQLITE_CORRUPT: (
        DatabaseError,
        "is damaged, and is left as it is. Move it away and put a backup in its place, or start without one "
        "and run `pawsort doctor --repair`, which records the photos that have no row.",
    ),
    sqlite3.SQLITE_NOTADB: (
        DatabaseError,
        "is not an SQLite database, and is left as it is. Move it away, or name another file in `database`.",
    ),
}

# Connection, resources, a server stopping or starting, system errors, read-only, deadlock.
_POSTGRES_TRANSIENT = ("08", "53", "57P", "58", "25006", "40")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise errors of a driver as DatabaseError about the database at `where`; let other errors pass."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        raise explain(error, where) from error


def explain(error: Exception, where: str) -> DatabaseError:
    """Return the DatabaseError that says what `error` means for the database at `where`."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, sqlite3.Error):
        return _explain_sqlite(cause, where)
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(f"The database {where} has no free connection. Try again.")
    return _explain_postgres(cause, where)


def _explain_sqlite(cause: sqlite3.Error, where: str) -> DatabaseError:
    # The low byte is the kind, the rest are details; errors of the sqlite3 module itself have no code.
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    kind, words = _SQLITE.get(code, (DatabaseError, "refused a statement."))
    return kind(f"The database {where} {words} ({cause})")


def _explain_postgres(cause: BaseException, where: str) -> DatabaseError:
    state = getattr(cause, "sqlstate", None)
    said = " ".join(str(cause).split())
    if state is None and type(cause).__name__ == "OperationalError":
        return DatabaseUnavailable(
            f"The database {where} cannot be reached. Check that its server runs, and `database` in the "
            f"settings. ({said})"
        )
    if state == "55P03":
        return DatabaseUnavailable(
            f"The database {where} is locked by another session for too long: of a worker of an earlier "
            f"Pawsort, which must be stopped first, or of a program with an open transaction. ({said})"
        )
    if state is not None and state.startswith(_POSTGRES_TRANSIENT):
        return DatabaseUnavailable(f"The database {where} cannot be used now. Check its server. ({said})")
    return DatabaseError(f"The database {where} refused a statement. ({said})")
