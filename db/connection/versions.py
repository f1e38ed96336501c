"""Check the version of a database's schema without Alembic, and migrate it with Alembic."""

from __future__ import annotations

import logging
import os

from sqlalchemy import Connection, inspect, text

from db.connection.errors import DatabaseError, DatabaseReserved, DatabaseUnavailable
from db.connection.postgres import lock_schema
from db.connection.session_locks import WORKERS, holders
from db.migrations import REVISIONS

_log = logging.getLogger(__name__)


def check_version(connection: Connection, where: str) -> None:
    """Raise DatabaseError unless the database at `where` has exactly the schema of this code."""
    found = version(connection, where)
    if found is None:
        raise DatabaseError(f"The database {where} is empty. Start the worker, which makes its tables.")
    if found != REVISIONS[-1]:
        raise DatabaseError(
            f"The database {where} has version {found}, this Pawsort needs {REVISIONS[-1]}. "
            "Stop the worker, keep a copy of the database, and run `pawsort db upgrade`."
        )


def migrate(connection: Connection, where: str) -> None:
    """Migrate the database at `where` to the newest schema, within the transaction of `connection`.

    Raises DatabaseError if it is newer than that or not Pawsort's, DatabaseReserved while a worker uses it.
    """
    # Imported here, because Alembic is slow to import and queries do not need it.
    from alembic import command
    from alembic.config import Config

    # Alembic logs its own steps; the line below is enough.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if connection.dialect.name == "postgresql":
        lock_schema(connection)
    before = version(connection, where)
    if before not in (None, REVISIONS[-1]):
        _refuse_workers(connection, where)
    config = Config()
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "migrations")
    # The option is interpolated, so % must be escaped.
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if (after := _stamp(connection)) != REVISIONS[-1]:
        # If Alembic cannot list the migrations, it applies none.
        raise DatabaseUnavailable(
            f"The database {where} could not be migrated to version {REVISIONS[-1]} and stays as it was: its "
            f"migrations lead to {after or 'none'}. Check that {folder} can be read, and start again."
        )
    if before != REVISIONS[-1]:
        _log.info("database %s migrated from version %s to %s", where, before or "none", REVISIONS[-1])


def _refuse_workers(connection: Connection, where: str) -> None:
    """Raise DatabaseReserved while a worker uses a database on a server.

    One of version 0007 and before holds the lock of `lock_schema`.
    """
    if connection.dialect.name == "postgresql" and holders(connection, WORKERS):
        raise DatabaseReserved(f"a worker uses the database {where}; stop the workers of all machines first")


def version(connection: Connection, where: str) -> str | None:
    """Return the revision, or None for a database with no tables at all."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if not tables:
            return None
        raise DatabaseError(
            f"The database {where} is not Pawsort's: it holds other tables. It is left as it is. "
            "Name another in `database`."
        )
    version = _stamp(connection)
    if version not in REVISIONS:
        raise DatabaseError(
            f"The database {where} was made by a newer Pawsort (its version is {version}, this one knows up "
            f"to {REVISIONS[-1]}). It is left as it is. Install that Pawsort again, or a later one."
        )
    return str(version)


def _stamp(connection: Connection) -> str | None:
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(found[0]) if len(found) == 1 else None
