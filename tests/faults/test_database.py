"""The database in trouble, under a real worker."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.faults import injection
from tests.faults.injection import ROOT_ONLY
from tests.support.fork_server import ROOT
from tests.support.forked_installation import ForkedInstallation

LIMIT = 4 << 20  # bytes
pytestmark = pytest.mark.timeout(300)


@pytest.mark.fault(79)
def test_the_worker_waits_for_a_short_lock_and_reports_a_lasting_one(pawsort: ForkedInstallation) -> None:
    pawsort.start(busy=1.0)
    pawsort.wait_until_watching()
    database = pawsort.settings.state / "pawsort.db"
    pawsort.drop("a.jpg", b"1<cat>")
    with injection.locked(database):
        pawsort.drop("b.jpg", b"2<cat>")
        pawsort.wait_until_paused("is locked")
    pawsort.wait_until_filed()
    pawsort.wait_until_watching()
    said = pawsort.log.count("paused")
    with injection.locked(database), contextlib.suppress(AssertionError):
        pawsort.drop("c.jpg", b"3<cat>")
        pawsort.wait(lambda: False, "a moment that is shorter than its patience", 0.4)
    pawsort.wait_until_filed()
    assert pawsort.log.count("paused") == said
    pawsort.ends_well()


@pytest.mark.fault(79)
def test_status_tells_of_a_worker_whose_database_is_locked(pawsort: ForkedInstallation) -> None:
    worker = pawsort.start(busy=0.2)
    pawsort.wait_until_watching()
    with injection.locked(pawsort.settings.state / "pawsort.db"):
        pawsort.drop("a.jpg", b"1<cat>")
        pawsort.wait_until_paused("is locked")
        command = [sys.executable, "run_worker.py", "status", "--config", str(pawsort.folder / "config.yaml")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert f"worker     running, process {worker.pid}" in done.stdout
    assert "state      paused" in done.stdout
    assert "is locked" in done.stdout
    pawsort.wait_until_filed()
    pawsort.ends_well()


@pytest.mark.fault(81)
def test_a_long_reader_does_not_stop_filing_and_the_wal_shrinks_after_it(pawsort: ForkedInstallation) -> None:
    pawsort.start()
    pawsort.wait_until_watching()
    database = pawsort.settings.state / "pawsort.db"
    wal = pawsort.settings.state / "pawsort.db-wal"
    reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    with contextlib.closing(reader):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM results").fetchone()
        for number in range(220):
            pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
        pawsort.wait_until_filed()
        grown = wal.stat().st_size
        assert grown > LIMIT, "the reader keeps the -wal from being emptied, else this test shows nothing"
    pawsort.drop("after.jpg", b"after<cat>")
    pawsort.wait(lambda: wal.stat().st_size <= LIMIT, "the -wal to shrink")
    pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(82)
def test_a_database_that_may_not_be_written(pawsort: ForkedInstallation) -> None:
    pawsort.start()
    pawsort.wait_until_watching()
    database = pawsort.settings.state / "pawsort.db"
    with injection.immutable(database, f"{database}-wal"):
        path = pawsort.drop("a.jpg", b"<cat>")
        pawsort.wait_until_paused("The database")
        assert os.path.exists(path), "no file is moved without a row"
    pawsort.wait_until_filed()
    pawsort.wait_until_watching()
    pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(82)
def test_a_database_that_may_not_be_written_at_start(pawsort: ForkedInstallation) -> None:
    pawsort.drop("a.jpg", b"1<cat>")
    assert pawsort.run_once() == 0
    path = pawsort.drop("b.jpg", b"2<cat>")
    with injection.immutable(pawsort.settings.state / "pawsort.db"):
        worker = pawsort.start(once=True)
        with contextlib.suppress(TimeoutError):
            assert worker.wait(1.0) == 4
        assert os.path.exists(path)
        worker.kill()
    pawsort.workers.clear()
    pawsort.ends_well()


@pytest.mark.fault(83)
@pytest.mark.parametrize("damage", ["page", "noise", "empty", "half"])
def test_a_damaged_database_is_refused_and_left_as_it_is(pawsort: ForkedInstallation, damage: str) -> None:
    for number in range(20):
        pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
    assert pawsort.run_once() == 0
    database = pawsort.settings.state / "pawsort.db"
    whole = database.read_bytes()
    broken = {
        "page": whole[:8192] + os.urandom(4096) + whole[12288:],
        "noise": os.urandom(len(whole)),
        "empty": b"",
        "half": whole[: len(whole) // 2],
    }[damage]
    database.write_bytes(broken)
    path = pawsort.drop("late.jpg", b"late<cat>")
    assert pawsort.run_once() == 4
    assert os.path.exists(path)
    assert database.read_bytes() == broken
    assert str(database) in pawsort.log
    assert "Traceback" not in pawsort.log
    database.write_bytes(whole)
    pawsort.ends_well()


@pytest.mark.fault(84)
@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_database_that_goes_under_it_ends_the_worker_and_the_files_stay(
    pawsort: ForkedInstallation, what: str
) -> None:
    pawsort.drop("a.jpg", b"1<cat>")
    worker = pawsort.start()
    pawsort.wait_until_filed()
    database = pawsort.settings.state / "pawsort.db"
    # Not a copy of the files one by one, between which the worker may write.
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(pawsort.folder / "backup.db")) as copy,
    ):
        source.backup(copy)
    database.unlink()
    if what == "replaced":
        sqlite3.connect(database).close()
        database.touch()
    path = pawsort.drop("b.jpg", b"2<cat>")
    assert worker.wait() == 4
    assert "deleted or replaced" in pawsort.log
    assert os.path.exists(path)
    for suffix in ("", "-wal", "-shm"):
        (pawsort.settings.state / f"pawsort.db{suffix}").unlink(missing_ok=True)
        if (pawsort.folder / f"backup.db{suffix}").exists():
            shutil.move(pawsort.folder / f"backup.db{suffix}", pawsort.settings.state / f"pawsort.db{suffix}")
    pawsort.ends_well()


@pytest.mark.fault(88)
def test_a_new_database_judges_nothing_anew_that_was_filed(pawsort: ForkedInstallation) -> None:
    pawsort.drop("a.jpg", b"1<cat>")
    assert pawsort.run_once() == 0
    for path in pawsort.settings.state.glob("pawsort.db*"):
        path.unlink()
    pawsort.drop("b.jpg", b"2<cat>")
    assert pawsort.run_once() == 0
    assert pawsort.sorted() == {"cats/a.jpg", "cats/b.jpg"}
    # What was filed before is recorded where it lies, and says nothing of its class.
    assert sorted(pawsort.rows("name, outcome, prediction, corrected_to")) == [
        ("a.jpg", "cats", None, None), ("b.jpg", "cats", "cat", None),
    ]  # fmt: skip
    command = [sys.executable, "run_worker.py", "doctor", "--config", str(pawsort.folder / "config.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
