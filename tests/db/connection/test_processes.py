"""One database in several processes: forks, two writers, and a writer that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.connection.engine import (
    DatabaseError,
    open_database,
    reading,
)
from db.ledger.ledger import Ledger
from tests.db.conftest import NOON, SPOOL, filed
from tests.db.connection.conftest import FORKS


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
