"""Disks, folders and databases that refuse a worker."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.engine import RootTransaction
from sqlalchemy.exc import OperationalError

from db.connection.engine import DatabaseError, DatabaseUnavailable, forget_connections
from db.connection.sqlite import WRITES
from db.ledger.ledger import Ledger, SettledFile
from pipeline.files import moves
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved
from tests.support.stub_classifier import StubClassifier


@pytest.mark.fault(63)
def test_renames_are_durable_before_the_ledger_relies_on_them(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(owner: Any, name: str, say: Callable[..., str]) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            order.append(say(*args))
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    inbox, spool, cats = (
        os.fsencode(path)
        for path in (pawsort.settings.inboxes[0], pawsort.settings.spool, pawsort.settings.sorted / "cats")
    )
    places = {inbox: "inbox", spool: "spool", cats: "cats"}
    noted(moves, "sync_folders", lambda folders: "sync " + " ".join(sorted(places[f] for f in folders)))
    noted(moves, "move", lambda source, destination: f"move to {places[os.path.dirname(destination)]}")
    for name in ("claim", "begin_decoding", "decide", "file"):
        noted(Ledger, name, lambda *_, name=name: name)
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    steps = ["claim", "move to spool", "sync inbox spool", "begin_decoding", "decide", "move to cats"]
    assert [step for step in order if step != "sync "] == [*steps, "sync cats spool", "file"]


def test_a_worker_that_is_stopped_while_paused_says_nothing_of_going_on(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(source: bytes, destination: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", destination)

    pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.worker()
    worker.start()
    monkeypatch.setattr(moves, "move", refuse)
    step_until(worker, lambda: worker.trouble)
    worker.stop()
    assert "paused: No space left on device: '" in caplog.text
    assert "the trouble is over" not in caplog.text
    assert worker.trouble is not None


def test_only_a_complete_step_ends_a_pause(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING")
    classifier = StubClassifier()
    start, refusals = classifier.start, [OSError(errno.ENOMEM, "Cannot allocate memory")]

    def refuse_once() -> None:
        if refusals:
            raise refusals.pop()
        start()

    monkeypatch.setattr(classifier, "start", refuse_once)
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    worker = pawsort.worker(classifier)
    worker.start()
    assert "Cannot allocate memory" in str(worker.trouble), "that the ledger was taken up is no cure of it"
    worker.step()
    assert worker.trouble is None
    assert "the trouble is over" in caplog.text
    worker.stop()


@pytest.mark.fault(64)
def test_a_full_disk_pauses_and_the_work_goes_on_by_itself(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        pawsort.drop(f"{n}.jpg", f"{n}<cat>".encode())
    move, full = moves.move, True

    def refuse(source: bytes, destination: bytes) -> None:
        if full and b"/sorted/" in destination:
            raise OSError(errno.ENOSPC, "No space left on device", destination)
        move(source, destination)

    monkeypatch.setattr(moves, "move", refuse)
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    worker = pawsort.worker()
    worker.start()
    for _ in range(50):
        worker.step()
    assert worker.trouble is not None
    assert "No space left" in worker.trouble
    conserved(pawsort.settings, pawsort.injected, idle=False)
    full = False
    while not worker.idle:
        worker.step()
    assert worker.trouble is None
    worker.stop()
    assert {outcome for _, outcome, _ in pawsort.rows()} == {"cats"}
    conserved(pawsort.settings, pawsort.injected)


def test_a_batch_that_was_refused_a_claim_comes_again(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        pawsort.drop(f"{n}.jpg", f"{n}<cat>".encode())
    claim, refusals = Ledger.claim, 2

    def locked(self: Ledger, *args: Any) -> Any:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise DatabaseUnavailable("locked")
        return claim(self, *args)

    monkeypatch.setattr(Ledger, "claim", locked)
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort.run_worker()
    assert len(pawsort.sorted()) == 3
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(82)
def test_a_database_that_may_be_written_again_is_written_again(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.worker()
    connect, refusals = sqlite3.connect, 1

    def read_only(path: str, **options: Any) -> sqlite3.Connection:
        # What SQLite makes of a file that it may not open for writing.
        nonlocal refusals
        if refusals:
            refusals -= 1
            path = path.replace("mode=rw", "mode=ro")
        return connect(path, **options)

    forget_connections(worker._engine)
    monkeypatch.setattr("db.connection.sqlite.sqlite3.connect", read_only)
    run_until_idle(worker, steps=200)
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


def test_nothing_is_taken_before_the_recovery_is_done(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.worker()
    identity = moves.identity(path)
    claim = SettledFile(os.fspath(pawsort.settings.inboxes[0]), b"a.jpg", *identity, datetime.now(UTC))
    [ticket] = worker._ledger.claim([claim], datetime.now(UTC))
    # A claim by copy that was cut off before the original was removed.
    shutil.copy2(path, os.path.join(os.fsencode(pawsort.settings.spool), os.fsencode(ticket.spool_name)))
    entries, refusals = Ledger.unfinished, 50

    def locked(self: Ledger) -> Any:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise DatabaseUnavailable("locked")
        return entries(self)

    monkeypatch.setattr(Ledger, "unfinished", locked)
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort.run_worker()
    assert refusals < 0
    assert len(pawsort.rows()) == 1
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(70)
def test_another_disk_in_place_of_sorted_takes_nothing(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    worker = pawsort.worker()
    run_until_idle(worker)
    away = pawsort.settings.sorted.with_name("away")
    pawsort.settings.sorted.rename(away)
    pawsort.settings.sorted.mkdir()
    pawsort.drop("a.jpg", b"<cat>")
    step_until(worker, lambda: worker.trouble)
    assert pawsort.sorted() == set()
    assert "another folder" in str(worker.trouble)
    pawsort.settings.sorted.rmdir()
    away.rename(pawsort.settings.sorted)
    while not worker.idle:
        worker.step()
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


def test_a_disk_that_was_mounted_again_under_another_number_takes_files_again(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    worker = pawsort.worker()
    run_until_idle(worker)
    away = pawsort.settings.sorted.with_name("away")
    pawsort.settings.sorted.rename(away)
    pawsort.settings.sorted.mkdir()
    pawsort.drop("b.jpg", b"<cat>")
    step_until(worker, lambda: worker.trouble)
    assert pawsort.sorted() == set()
    pawsort.settings.sorted.rmdir()
    away.rename(pawsort.settings.sorted)
    _mounted_again(monkeypatch, os.fsencode(pawsort.settings.sorted))
    step_until(worker, lambda: worker.idle)
    worker.stop()
    assert len(pawsort.sorted()) == 2
    conserved(pawsort.settings, pawsort.injected)


def _mounted_again(monkeypatch: pytest.MonkeyPatch, folder: bytes) -> None:
    """Give `folder` the number that a disk may have after another mount."""
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:10])) if path == folder else found

    monkeypatch.setattr(os, "stat", stat)


def test_once_says_when_an_inbox_is_not_there(pawsort: Installation) -> None:
    pawsort.settings.inboxes[1].rmdir()
    worker = pawsort.run_worker()
    assert worker.in_flight.unreachable


@pytest.mark.fault(84)
def test_a_database_that_was_deleted_under_it_stops_the_worker_and_the_files_stay(
    pawsort: Installation,
) -> None:
    worker = pawsort.worker()
    run_until_idle(worker)
    for path in pawsort.settings.state.glob("pawsort.db*"):
        path.unlink()
    path = pawsort.drop("a.jpg", b"<cat>")
    with pytest.raises(DatabaseError, match="deleted"):
        for _ in range(100):
            worker.step()
    worker.stop()
    assert os.path.exists(path)


@pytest.mark.fault(72, 73)
def test_a_file_that_cannot_be_moved_has_no_row_and_delays_no_other(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = pawsort.drop("stuck.jpg", b"1<cat>")
    pawsort.drop("free.jpg", b"2<cat>")
    move = moves.move

    def refuse(source: bytes, destination: bytes) -> None:
        if source.endswith(b"/stuck.jpg"):
            raise PermissionError(errno.EPERM, "Operation not permitted", source)
        move(source, destination)

    monkeypatch.setattr(moves, "move", refuse)
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    worker = pawsort.run_worker()
    assert pawsort.sorted() == {"cats/free.jpg"}
    assert os.path.exists(stuck)
    assert worker.in_flight.left
    assert pawsort.rows("name, state") == [("free.jpg", "filed")]
    monkeypatch.setattr(moves, "move", move)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/free.jpg", "cats/stuck.jpg"}
    conserved(pawsort.settings, pawsort.injected)


class Unclear:
    """Has the commit with this number fail, after it is done or undone."""

    def __init__(self, at: int, done: bool) -> None:
        self.at, self.done, self.count = at, done, 0
        self._commit = RootTransaction.commit

    def commit(self, transaction: RootTransaction) -> None:
        writes = transaction.connection.get_execution_options().get(WRITES, False)
        self.count += writes
        if not writes or self.count != self.at:
            self._commit(transaction)
            return
        self._commit(transaction) if self.done else transaction.rollback()
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise OperationalError("COMMIT", None, error)


@pytest.mark.fault(67)
@pytest.mark.parametrize("done", [True, False], ids=["done", "undone"])
@pytest.mark.parametrize("at", range(1, 8))
def test_a_commit_that_may_be_done_or_not_is_looked_up(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, at: int, done: bool
) -> None:
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort.drop("cat.jpg", b"<cat>")
    pawsort.drop("bad.jpg", b"<truncated>")
    worker = pawsort.worker()
    unclear = Unclear(at, done)
    monkeypatch.setattr(RootTransaction, "commit", lambda self: unclear.commit(self))
    run_until_idle(worker)
    pawsort.drop("again.jpg", b"<cat>")
    step_until(worker, lambda: worker.idle and len(pawsort.rows()) == 3)
    worker.stop()
    assert unclear.count >= at, f"there are only {unclear.count} commits"
    found = sorted(pawsort.rows("name, outcome"))
    assert found == [("again.jpg", "cats"), ("bad.jpg", "failed"), ("cat.jpg", "cats")]
    assert worker.outcomes == {"cats": 2, "failed": 1}
    conserved(pawsort.settings, pawsort.injected)


def test_what_is_filed_and_not_yet_reported_outlives_an_unclear_commit(pawsort: Installation) -> None:
    reported: list[Any] = []
    worker = pawsort.worker(on_filed=reported.extend)
    pawsort.drop("cat.jpg", b"<cat>")
    run_until_idle(worker)
    worker.in_flight.place.add_filed(reported)
    worker._start_over()
    step_until(worker, lambda: worker.idle)
    worker.stop()
    assert [held.source for held in reported] == [b"cat.jpg", b"cat.jpg"]
