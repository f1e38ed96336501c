from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

import db.connection.engine
import db.connection.sqlite
from db.connection.engine import (
    DatabaseError,
    DatabaseReserved,
    DatabaseUnavailable,
    assert_in_place,
    forget_connections,
    open_database,
    reading,
    reserved,
    upgrade,
    writing,
)
from db.ledger.ledger import Ledger
from db.migrations import REVISIONS
from db.queries import listing
from tests.db.conftest import NOON, SPOOL, claim, filed

FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path, sqlite_made: Path) -> Path:
    return Path(shutil.copy(sqlite_made, tmp_path))


@pytest.fixture
def sqlite_engine(path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def stamp(path: Path, version: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [version])
    connection.close()


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
def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
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


def test_the_files_of_an_engine_that_was_closed_in_between_are_no_alarm(sqlite_engine: Engine) -> None:
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


# --- processes ----------------------------------------------------------------------------------------


@FORKS
@pytest.mark.fault(87)
def test_a_forked_child_is_refused(engine: Engine) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with reading(engine):
                os.write(writer, b"it was let in")
        except DatabaseError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reader, 1000).decode()
    os.close(reader)
    os.close(writer)
    assert "not usable in its child" in said
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM files")) == 0


WRITER = """
import datetime as dt, sys
from db.connection.engine import open_database
from db.ledger.ledger import Ledger
from tests.db.conftest import SPOOL, filed
ledger = Ledger(open_database(sys.argv[1], "write"), SPOOL)
for n in range(int(sys.argv[2])):
    filed(ledger, b"%d" % n, dt.datetime.now(dt.UTC))
    print(n, flush=True)
"""


def writer(url: str, count: int) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", WRITER, url, str(count)]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


@pytest.mark.fault(80)
def test_two_processes_write_at_once(sqlite_engine: Engine, path: Path) -> None:
    ledger = Ledger(sqlite_engine, SPOOL)
    with writer(f"sqlite:///{path}", 25) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for n in range(25):
            id = filed(ledger, b"mine%d" % n, ino=n)
            move = ledger.begin_move(id, "correct", b"/x%d" % n, "dogs", "dog", "jo", NOON)
            ledger.finish_move(move.id, NOON)
        other.stdout.read()
    assert other.returncode == 0
    with reading(sqlite_engine) as connection:
        counted = connection.execute(text("SELECT outcome, count(*) FROM results GROUP BY 1 ORDER BY 1"))
        assert [tuple(row) for row in counted] == [("cats", 25), ("dogs", 25)]


@pytest.mark.parametrize("steps", [3, 10])
def test_a_kill_between_steps_leaves_whole_rows(path: Path, steps: int) -> None:
    with writer(f"sqlite:///{path}", 10_000) as victim:
        assert victim.stdout is not None
        for _ in range(steps):
            done = int(victim.stdout.readline())
        victim.send_signal(signal.SIGKILL)
    engine = open_database(f"sqlite:///{path}")
    ledger = Ledger(engine, SPOOL)
    unfinished = ledger.unfinished()
    assert len(unfinished) <= 1
    for entry in unfinished:
        if entry.state == "claimed":
            assert entry.path == SPOOL + b"/" + entry.spool_name.encode()
            assert entry.verdict is None
        else:
            assert (entry.state, entry.verdict, entry.outcome) == ("decided", "cats", None)
    with reading(engine) as connection:
        whole = "state = 'filed' AND outcome = 'cats' AND path IS NOT NULL AND filed_at IS NOT NULL"
        assert connection.scalar(text(f"SELECT count(*) FROM results WHERE {whole}")) >= done + 1
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    engine.dispose()


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
