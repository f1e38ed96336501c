"""A URL or a file that cannot be used is refused with its name, and left as it is."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connection.engine import (
    DatabaseError,
    DatabaseUnavailable,
    assert_in_place,
    forget_connections,
    open_database,
    upgrade,
)
from db.ledger.ledger import Ledger
from db.migrations import REVISIONS
from tests.db.conftest import SPOOL, filed


def stamp(path: Path, version: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])
    connection.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "is not a usable URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("oddbase://x/y", "is not a usable URL"),
        ("postgresql://u@h:99999/x", "port 99999, expected 1 to 65535"),
        ("postgresql://u@h:0/x", "port 0, expected"),
        ("postgresql://u@h:abc/x", "is not a usable URL"),
        ("postgresql://u@[::1/x", "is not a usable URL"),
        ("postgresql://u@h", "names no database"),
        ("postgresql://u@h/a%00b", "control characters"),
        ("postgresql://u@h/x?foo=bar", "unknown option"),
        ("postgresql+psycopg_async://u@h/x", "asynchronous driver"),
        ("sqlite:///a/", "does not name a file"),
        ("sqlite:////tmp", "does not name a file"),
        ("sqlite:///a%00b\0", "does not name a file"),
        ("sqlite://host/a.db", "more than the path"),
    ],
)
def test_urls_that_cannot_be_used(url: str, said: str) -> None:
    with pytest.raises(DatabaseError, match=said) as caught:
        open_database(url)
    assert "Expected null, sqlite:////" in str(caught.value)


# --- what is refused, and left as it is ---------------------------------------------------------------


def assert_refused_untouched(path: Path, said: str) -> None:
    before = path.read_bytes()
    for act in (lambda: open_database(f"sqlite:///{path}"), lambda: upgrade(f"sqlite:///{path}")):
        with pytest.raises(DatabaseError, match=said) as caught:
            act().dispose()
        assert str(path) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.fault(83)
def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pawsort.db"
    path.touch()
    assert_refused_untouched(path, "is an empty file")


@pytest.mark.fault(83)
def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pawsort.db"
    path.write_bytes(b"cats and dogs " * 1000)
    assert_refused_untouched(path, "is not an SQLite database")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pawsort.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE songs (name)")
    connection.close()
    assert_refused_untouched(path, "is not Pawsort's")


@pytest.mark.fault(85)
def test_a_newer_database_is_refused(path: Path) -> None:
    stamp(path, "9999")
    assert_refused_untouched(path, "made by a newer Pawsort")


@pytest.mark.fault(85)
def test_an_older_database_is_refused_with_the_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.connection.versions.REVISIONS", (*REVISIONS, "9998"))
    with pytest.raises(DatabaseError, match="pawsort db upgrade"):
        open_database(f"sqlite:///{path}")


@pytest.mark.fault(83)
def test_a_damaged_page_is_found_at_start(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xab" * 4096)
    with pytest.raises(DatabaseError, match="is damaged, and is left as it is"):
        open_database(f"sqlite:///{path}")


@pytest.mark.fault(83)
def test_a_damaged_first_page_is_said_to_be_so(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xab" * 3000)
    with pytest.raises(DatabaseError, match="is damaged") as caught:
        open_database(f"sqlite:///{path}")
    assert not isinstance(caught.value, DatabaseUnavailable)


# --- deleted or replaced while open -------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.fault(84)
def test_a_file_that_goes_while_open_is_noticed(
    sqlite_engine: Engine, path: Path, suffix: str, replaced: bool
) -> None:
    filed(Ledger(sqlite_engine, SPOOL))
    assert_in_place(sqlite_engine)
    victim = Path(f"{path}{suffix}")
    data = victim.read_bytes()
    victim.rename(f"{victim}.away")
    if replaced:
        victim.write_bytes(data)
    with pytest.raises(DatabaseError, match="deleted or replaced while Pawsort had it open"):
        assert_in_place(sqlite_engine)
    # Otherwise closing it here would meddle with the files of the others.
    Path(f"{victim}.away").replace(victim)


def test_an_engine_that_was_closed_and_opened_again_finds_its_files_in_place(sqlite_engine: Engine) -> None:
    sqlite_engine.dispose()
    assert_in_place(sqlite_engine)
    filed(Ledger(sqlite_engine, SPOOL))
    assert_in_place(sqlite_engine)


def test_a_file_that_was_replaced_while_no_connection_was_open_is_noticed(
    sqlite_engine: Engine, path: Path, sqlite_made: Path
) -> None:
    forget_connections(sqlite_engine)
    path.rename(path.with_name("away.db"))
    shutil.copy(sqlite_made, path)
    with pytest.raises(DatabaseError, match="replaced"):
        filed(Ledger(sqlite_engine, SPOOL))
