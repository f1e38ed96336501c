from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine

from db.connection import sqlite
from db.connection.engine import open_database, reading, upgrade, writing
from db.connection.errors import DatabaseError
from db.queries.browse import Choice, page
from db.queries.search import name_search
from db.queries.search.name_search import ids_by_name

ROOT = Path(__file__).parents[3]
_COLUMNS = "id, spool_name, state, inbox, source, name, dev, ino, bytes, mtime_ns, attempts"
ADD = (
    f"INSERT INTO files ({_COLUMNS}, seen_at, claimed_at, changed_at) "
    "VALUES (?, 's', 'filed', 'i', 's', ?, '1', '1', 1, '1', 0, '2026-01-01', '2026-01-01', '2026-01-01')"
)
TRIGGERS = ("file_names_added", "file_names_removed", "file_names_renamed")


@pytest.fixture
def pets(sqlite_made: Path, tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "pets.db"
    path.write_bytes(sqlite_made.read_bytes())
    engine = open_database(f"sqlite:///{path}", "write")
    with writing(engine) as connection:
        for id, name in enumerate(("rex.jpg", "tom.jpg", "bella.jpg", "\u00c4pfel.jpg"), 1):
            connection.exec_driver_sql(ADD, (id, name))
    yield engine
    engine.dispose()


def found(engine: Engine, part: str) -> list[int] | None:
    with reading(engine) as connection:
        return ids_by_name(connection, part)


def test_it_holds_what_the_table_does(pets: Engine) -> None:
    with writing(pets) as connection:
        connection.exec_driver_sql("DELETE FROM files WHERE id = 1")
        connection.exec_driver_sql("UPDATE files SET name = 'fido.jpg' WHERE id = 2")
        # Raises where it does not.
        connection.exec_driver_sql("INSERT INTO file_names (file_names, rank) VALUES ('integrity-check', 1)")
    assert [found(pets, part) for part in ("rex", "tom", "fido", "LLA")] == [[], [], [2], [3]]


def test_an_impossible_name_finds_nothing(pets: Engine) -> None:
    assert found(pets, "rex\0") == found(pets, '"""') == found(pets, 'rex" OR "tom') == []


def test_less_than_three_characters_are_found_by_going_through(pets: Engine) -> None:
    assert found(pets, "x") == [1] and found(pets, "to") == [2] and found(pets, "zz") == []


def test_upper_and_lower_case_are_alike_for_ascii_only(pets: Engine) -> None:
    # The index takes these for alike; SQLite's own comparison has the last word, as in all other searches.
    assert found(pets, "\u00e4pf") == [4]
    assert page(pets, Choice(name="\u00e4pf")).entries == ()
    assert [entry.id for entry in page(pets, Choice(name="\u00c4PF")).entries] == [4]


def test_a_process_that_has_tensorflow_searches_too() -> None:
    # TensorFlow brings an SQLite without full-text search, which would serve a process that loads it first.
    line = "import models.networks.tf_runtime, sqlite3; from db.connection.sqlite import can_search as can; "
    line += "print(can(sqlite3.connect('')))"
    said = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout == "True\n"


def test_an_sqlite_without_search_reads_and_is_told_what_writing_needs(
    pets: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "can_search", lambda _: False)
    monkeypatch.setattr(name_search, "can_search", lambda _: False)
    reader = open_database(str(pets.url), "read")
    assert found(reader, "rex") == [1]
    reader.dispose()
    with pytest.raises(DatabaseError, match="built without full-text search"):
        open_database(str(pets.url), "write")


def test_a_database_of_before_gets_the_index_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    with monkeypatch.context() as patch:
        newest = command.upgrade
        patch.setattr(command, "upgrade", lambda config, _: newest(config, "0002"))
        patch.setattr("db.connection.versions.REVISIONS", ("0001", "0002"))
        upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(ADD, (7, "rex.jpg"))
    upgrade(f"sqlite:///{path}")
    engine = open_database(f"sqlite:///{path}")
    assert found(engine, "rex") == [7]
    engine.dispose()
