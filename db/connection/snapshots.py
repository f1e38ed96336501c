"""Take a consistent copy of a whole database while others write to it, check it, and put it in place.

SQLite by its backup API, PostgreSQL by pg_dump. A copy may be of an older version of the schema.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from db.connection import postgres_dump, sqlite
from db.connection.address import is_absent, location, parse
from db.connection.errors import DatabaseError, DatabaseUnavailable, translated
from db.migrations import REVISIONS
from db.schema.tables import Base

Kind = Literal["sqlite", "postgresql"]

PAGES = 2_000
"""Pages of SQLite, of 4 KiB, that are copied between two calls of `check`: a few milliseconds."""

_NOT_OURS = "has no version of Pawsort's schema; it is left as it is"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a copy holds: its kind, the version of its schema, and how many rows each table has."""

    kind: Kind
    revision: str
    rows: dict[str, int]


def kind_of(url: str) -> Kind:
    """Return the kind of a database. Raises DatabaseError for a wrong URL."""
    return "sqlite" if parse(url).get_backend_name() == "sqlite" else "postgresql"


def take(url: str, target: Path, check: Callable[[], None] = lambda: None) -> Snapshot:
    """Copy the database at `url` into the new file `target`, and check the copy; return what it holds.

    The copy is of one moment, and neither blocks a writer nor waits for one. Calls `check` often, and passes
    on what that raises. Raises DatabaseError, also if the copy is damaged; OSError.
    """
    address = parse(url)
    if is_absent(address):
        raise DatabaseError(f"There is no database at {location(address)}: nothing to back up.")
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if address.get_backend_name() != "sqlite":
        revision, rows = postgres_dump.dump(address, target, _tables())
        return Snapshot("postgresql", revision, rows)
    path = sqlite.path_of(address)
    sqlite.refuse_empty(path)
    with translated(path), _full_disk_of(target):
        _copy(path, target, check)
    return examine(target)


def examine(path: Path) -> Snapshot:
    """Read a whole copy of an SQLite database and return what it holds. Raises DatabaseError for damage."""
    uri = f"file:{urllib.parse.quote(os.fsencode(path))}?mode=ro&immutable=1"
    with translated(str(path)), closing(sqlite3.connect(uri, uri=True)) as copy:
        said = str(copy.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if said != "ok":
            raise DatabaseError(f"The copy {path} of the database is damaged ({' '.join(said.split())}).")
        there = {str(row[0]) for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in there or "files" not in there:
            raise DatabaseError(f"The database {path} {_NOT_OURS}.")
        found = copy.execute("SELECT version_num FROM alembic_version").fetchall()
        counts = {name: f"SELECT count(*) FROM {name}" for name in _tables() if name in there}  # noqa: S608
        rows = {name: int(copy.execute(statement).fetchone()[0]) for name, statement in counts.items()}
    return Snapshot("sqlite", str(found[0][0]) if len(found) == 1 else "", rows)


def refuse_unknown(revision: str) -> None:
    """Raise DatabaseError for a copy whose schema this Pawsort does not know."""
    if revision not in REVISIONS:
        raise DatabaseError(
            f"The backup was made by a newer Pawsort: its database has version {revision or 'none'}, this "
            f"one knows up to {REVISIONS[-1]}. Nothing was written. Install that Pawsort, or a later one."
        )


def is_newest(revision: str) -> bool:
    """Return whether a schema is that of this Pawsort."""
    return revision == REVISIONS[-1]


def occupied(url: str) -> list[str]:
    """Return what stands where a database would be put: files of SQLite, or a server's database with tables.

    Raises DatabaseError.
    """
    address = parse(url)
    if address.get_backend_name() != "sqlite":
        return [location(address)] if postgres_dump.has_tables(address) else []
    path = sqlite.path_of(address)
    return [name for name in (path, f"{path}-wal", f"{path}-journal") if os.path.lexists(name)]


def put(url: str, copy: Path, expected: Snapshot, file_mode: int) -> None:
    """Put a copy in place as the database at `url`, where there is none, and check it there.

    Raises DatabaseError, and leaves no file then.
    """
    address = parse(url)
    if address.get_backend_name() != "sqlite":
        postgres_dump.load(address, copy)
        if Snapshot("postgresql", *postgres_dump.contents(address, _tables())) != expected:
            raise DatabaseError(
                f"The database {location(address)} has not all rows of the backup; look at it."
            )
        return
    path = sqlite.path_of(address)
    sqlite.sweep(path)
    try:
        with sqlite.scratch_of(path, file_mode) as scratch:
            with open(copy, "rb") as source, open(scratch, "wb") as made:
                shutil.copyfileobj(source, made, 1 << 20)
                made.flush()
                os.fsync(made.fileno())
            if examine(Path(scratch)) != expected:
                raise DatabaseError(f"The database {path} was not written as it is in the backup; try again.")
            sqlite.put_in_place(scratch, path)
            if os.path.exists(scratch) and not os.path.samefile(scratch, path):
                raise DatabaseError(f"There is a database at {path} by now; it is left as it is.")
    except OSError as error:
        raise DatabaseUnavailable(f"The database {path} cannot be written: {error.strerror}.") from error


@contextmanager
def _full_disk_of(target: Path) -> Iterator[None]:
    """Raise OSError for a full disk: it is that of the copy, since the database itself is only read."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(target.parent)) from error


def _copy(path: str, target: Path, check: Callable[[], None]) -> None:
    with (
        closing(sqlite3.connect(sqlite.reading_uri(path), uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.isolation_level = None
        # In one transaction that reads: else the copy begins again with each commit of the worker, for ever.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(copy, pages=PAGES, progress=lambda *_: check())
        copy.execute("PRAGMA journal_mode = DELETE")  # all in one file


def _tables() -> list[str]:
    return [table.name for table in Base.metadata.sorted_tables]
