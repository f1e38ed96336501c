"""Parse and check the URL of the database."""

from __future__ import annotations

import os

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from db.connection import sqlite
from db.connection.errors import DatabaseError, DriverMissing
from db.connection.paths_in_urls import without_secrets

_EXPECTED = "Expected null, sqlite:////absolute/path.db or postgresql://user:password@host/name."


def parse(url: str) -> URL:
    """Parse and check a database URL. Raises DatabaseError."""
    try:
        address = make_url(url)
        backend = address.get_backend_name()
        dialect = address.get_dialect()
        dialect.import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise DatabaseError(f"`database` is not a usable URL: {error}. {_EXPECTED}") from error
    except ImportError as error:
        message = f"The driver for {backend} is not installed ({error})."
        if backend == "postgresql":
            raise DriverMissing(message, "psycopg[binary]") from error
        raise DatabaseError(f"{message} {_EXPECTED}") from error
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseError(f"`database` names {backend}, which is not supported. {_EXPECTED}")
    if backend == "sqlite" and address.database in (None, "", ":memory:"):
        raise DatabaseError(
            f"`database` names an SQLite database in memory, which does not last. {_EXPECTED}"
        )
    if dialect.is_async:
        raise DatabaseError(f"`database` names an asynchronous driver, which is not supported. {_EXPECTED}")
    if backend == "sqlite":
        _refuse_unusable_file(address)
    else:
        _refuse_unusable_server(address)
    return address


def _refuse_unusable_file(address: URL) -> None:
    """Raise DatabaseError if the path cannot be that of a file."""
    database = str(address.database)
    if address.host or address.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise DatabaseError(f"`database` has more than the path of an SQLite file. {_EXPECTED}")
    if not _is_path(database) or database.endswith("/") or os.path.isdir(database):
        raise DatabaseError(f"`database` does not name a file. {_EXPECTED}")


def _refuse_unusable_server(address: URL) -> None:
    if address.port is not None and not 1 <= address.port <= 65535:
        raise DatabaseError(f"`database` has the port {address.port}, expected 1 to 65535. {_EXPECTED}")
    if address.get_driver_name() not in ("psycopg", "psycopg2"):
        raise DatabaseError(f"`database` names a driver that is not supported. {_EXPECTED}")
    _refuse_unknown_options(address)
    if not address.database:
        raise DatabaseError(f"`database` names no database of the server. {_EXPECTED}")
    parts = (address.username, address.password, address.host, address.database)
    if any(_is_odd(part) for part in parts if part is not None):
        raise DatabaseError(f"`database` has control characters. {_EXPECTED}")


def _refuse_unknown_options(address: URL) -> None:
    """Raise DatabaseError for options after the `?` that the driver does not know."""
    if address.get_driver_name() != "psycopg":
        return
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    try:
        make_conninfo("", **{name: str(value) for name, value in address.query.items()})
    except ProgrammingError as error:
        raise DatabaseError(f"`database` has an unknown option: {error}. {_EXPECTED}") from error


def _is_path(text: str) -> bool:
    # The default lies in the settings' folder, whose name may have any byte but 0.
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _is_odd(text: str) -> bool:
    """Return whether a text has control characters or half a character."""
    return any(letter < " " or "\x7f" <= letter < "\xa0" or "\ud800" <= letter < "\ue000" for letter in text)


def location(address: URL) -> str:
    """Return the path of an SQLite file, or a server's URL without its password, for messages."""
    if address.get_backend_name() == "sqlite":
        return sqlite.path_of(address)
    return without_secrets(address.render_as_string(hide_password=True))


def is_absent(address: URL) -> bool:
    """Return whether `address` is an SQLite file that does not exist."""
    return address.get_backend_name() == "sqlite" and not os.path.lexists(sqlite.path_of(address))
