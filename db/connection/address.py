"""Parse and check the URL of the database."""

from __future__ import annotations

import os

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from db.connection import sqlite
from db.connection.errors import DatabaseError

_EXPECTED = "Expected null, sqlite:////absolute/path.db or postgresql://user:password@host/name."


def parse(url: str) -> URL:
    """Parse and check a database URL. Raises DatabaseError."""
    try:
        address = make_url(url)
        backend = address.get_backend_name()
        address.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise DatabaseError(f"`database` is not a usable URL: {error}. {_EXPECTED}") from error
    except ImportError as error:
        advice = "`pip install 'psycopg[binary]'` installs it." if backend == "postgresql" else _EXPECTED
        raise DatabaseError(f"The driver for {backend} is not installed ({error}). {advice}") from error
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseError(f"`database` names {backend}, which is not supported. {_EXPECTED}")
    if backend == "sqlite" and address.database in (None, "", ":memory:"):
        raise DatabaseError(
            f"`database` names an SQLite database in memory, which does not last. {_EXPECTED}"
        )
    return address


def location(address: URL) -> str:
    """Return the path of an SQLite file, or a server's URL without its password, for messages."""
    if address.get_backend_name() == "sqlite":
        return sqlite.path_of(address)
    return address.render_as_string(hide_password=True)


def is_absent(address: URL) -> bool:
    """Return whether `address` is an SQLite file that does not exist."""
    return address.get_backend_name() == "sqlite" and not os.path.lexists(sqlite.path_of(address))
