"""Open a database: how it is set up, who may write, and what is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

import db.connection.engine
import db.connection.sqlite
from db.connection import postgres
from db.connection.engine import (
    DatabaseError,
    DatabaseReserved,
    DatabaseUnavailable,
    assert_in_place,
    open_database,
    reading,
    reserved,
    upgrade,
    writing,
)
from db.ledger.ledger import Ledger
from db.queries import listing
from tests.db.conftest import NOON, SPOOL, claim, filed
from tests.db.connection.conftest import FORKS
from tests.support.installation import wait

# --- opening ------------------------------------------------------------------------------------------


def test_the_worker_makes_a_database_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "50% ? #1 ü" / "pawsort.db"
    open_database(f"sqlite:///{path}".replace("?", "%3F")).dispose()
    # What lies there is whole: no -wal is needed to read it, nothing of its making is left.
    assert [entry.name for entry in tmp_path.rglob("*.db*")] == [path.name]


@pytest.mark.fault(67)
def test_a_database_that_is_not_whole_never_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = db.connection.engine._migrate
    others = []

    def migrate_in_vain(address: URL, where: str) -> None:
        # With another connection open, closing ours leaves all in the -wal: as when the disk refuses.
        others.append(sqlite3.connect(str(address.database)))
        others[0].execute("PRAGMA journal_mode = WAL")
        others[0].execute("BEGIN")
        others[0].execute("SELECT * FROM sqlite_master").fetchall()
        migrate(address, where)

    monkeypatch.setattr(db.connection.engine, "_migrate", migrate_in_vain)
    monkeypatch.setattr(db.connection.sqlite, "FINISH_SECONDS", 0.1)
    with pytest.raises(DatabaseUnavailable):
        open_database(f"sqlite:///{tmp_path}/new.db")
    others[0].close()
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("mode", ["write", "read"])
def test_only_the_worker_makes_one(tmp_path: Path, mode: db.connection.engine.Mode) -> None:
    with pytest.raises(DatabaseError, match="There is no database at "):
        open_database(f"sqlite:///{tmp_path}/missing.db", mode)
    assert os.listdir(tmp_path) == []


def test_sqlite_is_set_up_as_designed(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert connection.connection.dbapi_connection.isolation_level is None  # type: ignore[union-attr]
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 4_000}


@pytest.mark.fault(80)
def test_a_write_has_the_lock_from_its_beginning(sqlite_engine: Engine, path: Path) -> None:
    with writing(sqlite_engine):
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("SELECT count(*) FROM files").fetchone()
        other.close()


def test_a_read_does_not_keep_others_from_writing(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as connection:
        connection.execute(text("SELECT count(*) FROM files")).all()
        filed(Ledger(sqlite_engine, SPOOL))
        # And sees one state of things from its beginning to its end.
        assert connection.scalar(text("SELECT count(*) FROM files")) == 0


def test_a_failed_write_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(RuntimeError), writing(engine) as connection:
        connection.execute(text("INSERT INTO reports VALUES ('2026-01-01', '2026-01-01T00:00:00Z', 0)"))
        raise RuntimeError
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM reports")) == 0


def test_a_reader_cannot_write(url: str) -> None:
    open_database(url).dispose()
    engine = open_database(url, "read")
    with pytest.raises(DatabaseUnavailable, match="read-only"), writing(engine) as connection:
        connection.execute(text("DELETE FROM files"))
    engine.dispose()


def test_a_reader_works_while_the_worker_writes(sqlite_engine: Engine, path: Path) -> None:
    filed(Ledger(sqlite_engine, SPOOL))
    with writing(sqlite_engine):
        reader = open_database(f"sqlite:///{path}", "read")
        with reading(reader) as connection:
            assert connection.scalar(text("SELECT count(*) FROM results")) == 1
        reader.dispose()


def test_a_server_that_does_not_answer_is_a_passing_trouble() -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be reached") as caught:
        open_database("postgresql://pawsort:secret@127.0.0.1:1/pawsort")
    assert "secret" not in str(caught.value)


@FORKS
@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_may_read_a_database_that_is_not_open(sqlite_made: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(shutil.copy(sqlite_made, folder))
        path.chmod(0o644)
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                listing.counts(open_database(f"sqlite:///{path}", "read"))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert os.listdir(folder) == [path.name]


# --- troubles that pass -------------------------------------------------------------------------------


@pytest.mark.fault(79)
def test_a_lock_that_stays_is_a_passing_trouble(path: Path) -> None:
    engine = open_database(f"sqlite:///{path}", busy_seconds=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="is locked by another program"):
        filed(Ledger(engine, SPOOL))
    other.execute("ROLLBACK")
    other.close()
    filed(Ledger(engine, SPOOL))
    engine.dispose()


@pytest.mark.fault(65)
def test_a_full_disk_is_a_passing_trouble(sqlite_engine: Engine) -> None:
    with reading(sqlite_engine) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    ledger = Ledger(sqlite_engine, SPOOL)
    with pytest.raises(DatabaseUnavailable, match="the disk is full"):
        ledger.claim([claim(b"x" * 200 + b"%d" % n, ino=n) for n in range(500)], NOON)
    assert ledger.unfinished() == []


# --- one worker for a database --------------------------------------------------------------------------


def test_a_worker_that_fails_frees_the_database(url: str) -> None:
    upgrade(url)
    first, second = open_database(url), open_database(url)
    with pytest.raises(RuntimeError), reserved(first):
        raise RuntimeError
    with reserved(second):
        pass
    first.dispose()
    second.dispose()


@pytest.mark.fault(76)
def test_a_database_serves_one_worker_at_a_time(url: str) -> None:
    upgrade(url)
    first, second = open_database(url), open_database(url)
    with reserved(first):
        with pytest.raises(DatabaseReserved, match="another worker"), reserved(second):
            pass
        with reading(second) as connection:
            assert connection.execute(text("SELECT count(*) FROM files")).scalar() == 0
    with reserved(second):
        pass
    first.dispose()
    second.dispose()


def _end_session_with_lock(engine: Engine) -> None:
    """Do to the session of the worker's lock what a restart of the server does."""
    held = "FROM pg_locks WHERE locktype = 'advisory'"
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {held}"))
        wait(lambda: not connection.scalar(text(f"SELECT count(*) {held}")), "the end of the session")


@pytest.mark.fault(76)
def test_a_worker_notices_that_a_server_has_lost_its_lock(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CHECK_SECONDS", 0.0)
    first, second = open_database(postgres_url), open_database(postgres_url)
    with reserved(first):
        assert_in_place(first)
        _end_session_with_lock(second)
        assert_in_place(first)
        with pytest.raises(DatabaseReserved), reserved(second):
            pass
        _end_session_with_lock(second)
        with reserved(second), pytest.raises(DatabaseReserved, match="another worker"):
            assert_in_place(first)
    with reserved(second):
        pass
    first.dispose()
    second.dispose()
