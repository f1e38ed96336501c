"""Copies of a whole database: of one moment, checked, and put in place where nothing is."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db.connection import postgres_dump, snapshots
from db.connection.engine import DatabaseError, open_database, upgrade
from db.ledger.ledger import Ledger
from tests.db.conftest import SPOOL, create_database, filed


def fill(url: str, count: int) -> None:
    engine = open_database(url)
    ledger = Ledger(engine, SPOOL)
    for number in range(count):
        filed(ledger, b"%d.jpg" % number, ino=number)
    engine.dispose()


def test_a_copy_has_the_rows_of_one_moment_and_can_be_put_in_place(url: str, tmp_path: Path) -> None:
    upgrade(url)
    fill(url, 3)
    taken = snapshots.take(url, tmp_path / "copy")
    assert taken.rows == {**dict.fromkeys(taken.rows, 0), "files": 3, "workers": 1}
    assert snapshots.is_newest(taken.revision)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert snapshots.occupied(url) != []


def test_a_copy_of_a_server_is_loaded_into_an_empty_database(
    postgres: str, postgres_url: str, tmp_path: Path
) -> None:
    upgrade(postgres_url)
    fill(postgres_url, 2)
    taken = snapshots.take(postgres_url, tmp_path / "copy")
    other = create_database(postgres)
    assert snapshots.occupied(other) == []
    snapshots.put(other, tmp_path / "copy", taken, 0o600)
    with pytest.raises(DatabaseError, match="has not all rows of the backup"):
        snapshots.put(
            create_database(postgres),
            tmp_path / "copy",
            replace(taken, rows={**taken.rows, "files": 9}),
            0o600,
        )
    engine = open_database(other, "read")
    assert [entry.name for entry in Ledger(engine, SPOOL).entries([1, 2])] == [b"0.jpg", b"1.jpg"]
    engine.dispose()


def test_the_password_of_a_server_is_in_no_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "pg_restore"
    fake.write_text('#!/bin/sh\necho "$*" > seen; echo "$PGPASSWORD" >> seen; cat "$PGSERVICEFILE" >> seen')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    address = make_url("postgresql+psycopg://ann:se%20cret@db/pets?sslpassword=hidden")
    postgres_dump.load(address, tmp_path / "dump")
    arguments, password, *service = (tmp_path / "seen").read_text().splitlines()
    assert "cret" not in arguments and "hidden" not in arguments
    assert password == "se cret"
    assert service == ["[pawsort]", "host=db", "user=ann", "dbname=pets", "sslpassword=hidden"]


def test_without_pg_dump_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(postgres_dump.NoDumpError, match=r"`pg_dump` is not installed.*postgresql-client"):
        snapshots.take("postgresql+psycopg://ann@db/pets", tmp_path / "copy")


def test_a_worker_that_commits_meanwhile_is_not_waited_for(path: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{path}"
    fill(url, 1)
    engine = open_database(url)
    ledger = Ledger(engine, SPOOL)
    commits = iter(range(1, 200))
    pages = snapshots.PAGES

    def commit() -> None:
        if (number := next(commits)) < 150:
            filed(ledger, b"more-%d.jpg" % number, ino=1_000 + number)

    try:
        snapshots.PAGES = 1
        taken = snapshots.take(url, tmp_path / "copy", commit)
    finally:
        snapshots.PAGES = pages
        engine.dispose()
    assert taken.rows["files"] == 1, "of the moment at which it began"


def test_a_damaged_database_gives_no_copy(path: Path, tmp_path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : 4096 * 3 + 600] = b"\xff" * 600
    path.write_bytes(raw)
    with pytest.raises(DatabaseError, match=r"damaged|malformed"):
        snapshots.take(f"sqlite:///{path}", tmp_path / "copy")


def test_a_copy_of_a_newer_schema_is_refused() -> None:
    with pytest.raises(DatabaseError, match=r"made by a newer Pawsort.*9999"):
        snapshots.refuse_unknown("9999")


def test_a_database_is_never_put_over_another(path: Path, tmp_path: Path) -> None:
    fill(f"sqlite:///{path}", 1)
    taken = snapshots.take(f"sqlite:///{path}", tmp_path / "copy")
    target = tmp_path / "there.db"
    target.write_bytes(b"mine")
    with pytest.raises(DatabaseError, match="left as it is"):
        snapshots.put(f"sqlite:///{target}", tmp_path / "copy", taken, 0o600)
    assert target.read_bytes() == b"mine"
