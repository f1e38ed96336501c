"""Copy a PostgreSQL database by pg_dump, and load it by pg_restore.

The address is given to them in a private file and the password in the environment, since every user may read
the arguments of a process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.sql.expression import table

from db.connection import postgres
from db.connection.address import location
from db.connection.errors import DatabaseError, translated

BUSY_SECONDS = 4.0


class NoDumpError(DatabaseError):
    """A program of PostgreSQL that copies databases is not installed."""


def dump(address: URL, target: Path, tables: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Dump a database into `target`, in pg_dump's own format; return its version and rows by table.

    Raises DatabaseError, NoDumpError.
    """
    program = _program("pg_dump")
    where = location(address)
    engine = postgres.make_engine(address, True, BUSY_SECONDS)
    try:
        with (
            translated(where),
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            connection.begin(),
        ):
            # The dump sees what this transaction sees, so that the counts are those of the dump.
            snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
            revision, rows = _version(connection, where), _counts(connection, tables)
            _run([program, "--format=custom", f"--snapshot={snapshot}", f"--file={target}"], address)
    finally:
        engine.dispose()
    _run([_program("pg_restore"), f"--file={os.devnull}", str(target)], None)  # reads all of it
    return revision, rows


def load(address: URL, source: Path) -> None:
    """Load a dump into an empty database, all or nothing. Raises DatabaseError, NoDumpError."""
    how = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    _run([_program("pg_restore"), *how, str(source)], address)


def has_tables(address: URL) -> bool:
    """Return whether a database has any table. Raises DatabaseError."""
    engine = postgres.make_engine(address, True, BUSY_SECONDS)
    try:
        with translated(location(address)), engine.connect() as connection:
            return bool(inspect(connection).get_table_names())
    finally:
        engine.dispose()


def contents(address: URL, tables: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Return the version of a database and its rows by table. Raises DatabaseError."""
    engine = postgres.make_engine(address, True, BUSY_SECONDS)
    try:
        with translated(location(address)), engine.connect() as connection:
            return _version(connection, location(address)), _counts(connection, tables)
    finally:
        engine.dispose()


def _version(connection: Connection, where: str) -> str:
    if "alembic_version" not in inspect(connection).get_table_names():
        raise DatabaseError(f"The database {where} has no version of Pawsort's schema; it is left as it is.")
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _counts(connection: Connection, tables: Sequence[str]) -> dict[str, int]:
    there = set(inspect(connection).get_table_names())
    counted = {name: select(func.count()).select_from(table(name)) for name in tables if name in there}
    return {name: connection.scalar(statement) or 0 for name, statement in counted.items()}


def _program(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise NoDumpError(
        f"`{name}` is not installed, by which a PostgreSQL database is copied. Install PostgreSQL's client "
        "programs of the server's version or a later one (Debian: `apt install postgresql-client`)."
    )


def _run(command: Sequence[str], address: URL | None) -> None:
    """Run a program, on the database at `address` if it needs one."""
    environment = {**os.environ, "LC_ALL": "C"}
    with tempfile.NamedTemporaryFile("w", prefix="pawsort-", suffix=".conf", encoding="utf-8") as service:
        if address is not None:
            service.write(_service(address))
            service.flush()
            command = [*command, "--dbname=service=pawsort", "--no-password"]
            environment["PGSERVICEFILE"] = service.name
            if password := address.password or address.query.get("password"):
                environment["PGPASSWORD"] = str(password)
        done = subprocess.run(  # noqa: S603 - a program of PostgreSQL
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace", check=False,
        )  # fmt: skip
    if done.returncode:
        where = location(address) if address is not None else str(command[-1])
        said = " ".join(done.stderr.split())[-1_000:]
        raise DatabaseError(
            f"The database {where} could not be copied: {os.path.basename(command[0])}: {said}"
        )


def _service(address: URL) -> str:
    """Return the address, without the password, as an entry of libpq's connection service file.

    Its options may be secrets too. Source: libpq, "The Connection Service File".
    """
    parts = {
        "host": address.host, "port": address.port, "user": address.username, "dbname": address.database,
        **{name: value for name, value in address.query.items() if name != "password"},
    }  # fmt: skip
    lines = [f"{name}={value}" for name, value in parts.items() if value is not None]
    if any("\n" in line for line in lines):
        raise DatabaseError("`database` has control characters in its options.")
    return "\n".join(["[pawsort]", *lines, ""])
