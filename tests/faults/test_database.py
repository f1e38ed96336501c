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
from tests.support.fault_site import Site
from tests.support.forked_worker import ROOT

LIMIT = 4 << 20  # bytes
pytestmark = pytest.mark.timeout(300)


@pytest.mark.fault(79)
def test_a_lock_for_a_moment_is_waited_out_and_one_that_stays_is_told(site: Site) -> None:
    site.start(busy=1.0)
    site.wait_until_watching()
    database = site.settings.state / "pawsort.db"
    site.drop("a.jpg", b"1<cat>")
    with injection.locked(database):
        site.drop("b.jpg", b"2<cat>")
        site.wait_until_paused("is locked")
    site.wait_until_filed()
    site.wait_until_watching()
    said = site.log.count("paused")
    with injection.locked(database), contextlib.suppress(AssertionError):
        site.drop("c.jpg", b"3<cat>")
        site.wait(lambda: False, "a moment that is shorter than its patience", 0.4)
    site.wait_until_filed()
    assert site.log.count("paused") == said
    site.ends_well()


@pytest.mark.fault(79)
def test_status_tells_of_a_worker_whose_database_is_locked(site: Site) -> None:
    life = site.start(busy=0.2)
    site.wait_until_watching()
    with injection.locked(site.settings.state / "pawsort.db"):
        site.drop("a.jpg", b"1<cat>")
        site.wait_until_paused("is locked")
        command = [sys.executable, "run_worker.py", "status", "--config", str(site.folder / "config.yaml")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert f"worker     running, process {life.pid}" in done.stdout
    assert "state      paused" in done.stdout
    assert "is locked" in done.stdout
    site.wait_until_filed()
    site.ends_well()


@pytest.mark.fault(81)
def test_a_long_reader_does_not_stop_filing_and_the_wal_shrinks_after_it(site: Site) -> None:
    site.start()
    site.wait_until_watching()
    database = site.settings.state / "pawsort.db"
    wal = site.settings.state / "pawsort.db-wal"
    reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
    with contextlib.closing(reader):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM results").fetchone()
        for number in range(220):
            site.drop(f"{number}.jpg", b"%d<cat>" % number)
        site.wait_until_filed()
        grown = wal.stat().st_size
        assert grown > LIMIT, "the reader keeps the -wal from being emptied, else this test shows nothing"
    site.drop("after.jpg", b"after<cat>")
    site.wait(lambda: wal.stat().st_size <= LIMIT, "the -wal to shrink")
    site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(82)
def test_a_database_that_may_not_be_written(site: Site) -> None:
    site.start()
    site.wait_until_watching()
    database = site.settings.state / "pawsort.db"
    with injection.immutable(database, f"{database}-wal"):
        path = site.drop("a.jpg", b"<cat>")
        site.wait_until_paused("The database")
        assert os.path.exists(path), "no file is moved without a row"
    site.wait_until_filed()
    site.wait_until_watching()
    site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(82)
def test_a_database_that_may_not_be_written_at_start(site: Site) -> None:
    site.drop("a.jpg", b"1<cat>")
    assert site.live() == 0
    path = site.drop("b.jpg", b"2<cat>")
    with injection.immutable(site.settings.state / "pawsort.db"):
        life = site.start(once=True)
        with contextlib.suppress(TimeoutError):
            assert life.wait(1.0) == 4
        assert os.path.exists(path)
        life.kill()
    site.lives.clear()
    site.ends_well()


@pytest.mark.fault(83)
@pytest.mark.parametrize("damage", ["page", "noise", "empty", "half"])
def test_a_damaged_database_is_refused_and_left_as_it_is(site: Site, damage: str) -> None:
    for number in range(20):
        site.drop(f"{number}.jpg", b"%d<cat>" % number)
    assert site.live() == 0
    database = site.settings.state / "pawsort.db"
    whole = database.read_bytes()
    broken = {
        "page": whole[:8192] + os.urandom(4096) + whole[12288:],
        "noise": os.urandom(len(whole)),
        "empty": b"",
        "half": whole[: len(whole) // 2],
    }[damage]
    database.write_bytes(broken)
    path = site.drop("late.jpg", b"late<cat>")
    assert site.live() == 4
    assert os.path.exists(path)
    assert database.read_bytes() == broken
    assert str(database) in site.log
    assert "Traceback" not in site.log
    database.write_bytes(whole)
    site.ends_well()


@pytest.mark.fault(84)
@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_database_that_goes_under_it_ends_the_worker_and_the_files_stay(site: Site, what: str) -> None:
    site.drop("a.jpg", b"1<cat>")
    life = site.start()
    site.wait_until_filed()
    database = site.settings.state / "pawsort.db"
    # Not a copy of the files one by one, between which the worker may write.
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(site.folder / "backup.db")) as copy,
    ):
        source.backup(copy)
    database.unlink()
    if what == "replaced":
        sqlite3.connect(database).close()
        database.touch()
    path = site.drop("b.jpg", b"2<cat>")
    assert life.wait() == 4
    assert "deleted or replaced" in site.log
    assert os.path.exists(path)
    for suffix in ("", "-wal", "-shm"):
        (site.settings.state / f"pawsort.db{suffix}").unlink(missing_ok=True)
        if (site.folder / f"backup.db{suffix}").exists():
            shutil.move(site.folder / f"backup.db{suffix}", site.settings.state / f"pawsort.db{suffix}")
    site.ends_well()


@pytest.mark.fault(88)
def test_a_new_database_judges_nothing_anew_that_was_filed(site: Site) -> None:
    site.drop("a.jpg", b"1<cat>")
    assert site.live() == 0
    for path in site.settings.state.glob("pawsort.db*"):
        path.unlink()
    site.drop("b.jpg", b"2<cat>")
    assert site.live() == 0
    assert site.sorted() == {"cats/a.jpg", "cats/b.jpg"}
    assert site.rows("name") == [("b.jpg",)]
    command = [sys.executable, "run_worker.py", "doctor", "--config", str(site.folder / "config.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "a.jpg" in done.stdout
    assert "unrecorded" in done.stdout or "no row" in done.stdout
