"""Files that change, vanish or appear while a worker handles them."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.connection.engine import open_database
from db.ledger.ledger import Ledger
from pipeline.corrections.correct_undo_retry import undo
from pipeline.files import moves
from pipeline.files.safe_open import leased
from pipeline.watch.inbox import Inbox
from tests.support.crash import Death
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved, files_below
from tests.support.stub_classifier import StubClassifier


def test_a_file_put_in_while_it_works_is_filed_too(pawsort: Installation) -> None:
    pawsort.drop("first.jpg", b"1<cat>")
    worker = pawsort.worker()
    run_until_idle(worker)
    pawsort.drop("deep/er/second.jpg", b"2<cat>")
    while len(pawsort.sorted()) < 2:
        worker.step()
    worker.stop()
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(24, 25)
def test_an_entry_that_is_not_a_regular_file_is_skipped(pawsort: Installation, tmp_path: Path) -> None:
    inbox = pawsort.settings.inboxes[0]
    (tmp_path / "outside.jpg").write_bytes(b"<cat>")
    (inbox / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    os.mkfifo(inbox / "pipe.jpg")
    pawsort.drop("cat.jpg", b"2<cat>")
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/cat.jpg"}
    assert sorted(path.name for path in inbox.iterdir()) == ["link.jpg", "pipe.jpg"]


@pytest.mark.fault(11)
def test_a_file_that_is_still_written_to_is_not_taken(pawsort: Installation) -> None:
    path = pawsort.drop("slow.jpg", b"")
    worker = pawsort.worker()
    worker.start()
    with open(path, "ab") as writer:
        for _ in range(50):
            worker.step()
        assert pawsort.rows() == []
        writer.write(b"<dog>")
    pawsort.injected[:] = [b"<dog>"]
    while not pawsort.sorted():
        worker.step()
    worker.stop()
    assert pawsort.rows() == [("slow.jpg", "dogs", None)]
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(17)
def test_a_file_replaced_at_the_moment_of_the_claim_is_recorded_as_it_is(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("a.jpg", b"before<cat>")
    move = moves.move

    def replace_then_move(source: bytes, destination: bytes) -> None:
        if os.path.dirname(destination) == os.fsencode(pawsort.settings.spool):
            aside = pawsort.settings.state / "aside"
            aside.write_bytes(b"meanwhile<dog>")
            os.replace(aside, source)
        move(source, destination)

    monkeypatch.setattr(moves, "move", replace_then_move)
    pawsort.run_worker()
    pawsort.injected[:] = [b"meanwhile<dog>"]
    conserved(pawsort.settings, pawsort.injected)


def test_a_file_that_is_offered_twice_is_claimed_once(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a batch waits for longer than an inbox holds a file back that it has handed out."""
    honest = Inbox.poll
    monkeypatch.setattr(Inbox, "poll", lambda self, **limits: 2 * honest(self, **limits))
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    with sqlite3.connect(pawsort.settings.state / "pawsort.db") as database:
        assert database.execute("SELECT state FROM files").fetchall() == [("filed",)]
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(18)
def test_writing_after_the_claim_starts_the_file_over(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pawsort.drop("late.jpg", b"<cat>")
    worker = pawsort.worker()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    # A share on which no lease tells of the writer.
    monkeypatch.setattr("pipeline.watch.groups.leased", lambda _: None)
    monkeypatch.setattr("pipeline.classifier.file_checks.leased", lambda _: None)
    collect = StubClassifier.poll

    def write_then_poll(self: StubClassifier, timeout: float) -> Any:
        if self.in_flight and os.fstat(descriptor).st_size == 5:
            os.write(descriptor, b"more")
        return collect(self, timeout)

    monkeypatch.setattr(StubClassifier, "poll", write_then_poll)
    worker.start()
    while not pawsort.sorted():
        worker.step()
    worker.stop()
    os.close(descriptor)
    pawsort.injected[:] = [b"<cat>more"]
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(18)
def test_a_file_that_is_open_for_writing_when_it_is_read_waits_for_its_writer(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pawsort.drop("open.jpg", b"<cat>")
    with open(path, "rb") as file:
        if leased(file.fileno()) is None:
            pytest.skip("this file system knows no leases")
    # It was opened just after the claim.
    monkeypatch.setattr("pipeline.watch.groups.leased", lambda _: None)
    worker = pawsort.worker()
    worker.start()
    with open(path, "ab") as writer:
        step_until(worker, lambda: worker.in_flight.left)
        assert not pawsort.sorted() and not worker.in_flight.stuck
        writer.write(b"more")
    while not pawsort.sorted():
        worker.step()
    worker.stop()
    pawsort.injected[:] = [b"<cat>more"]
    conserved(pawsort.settings, pawsort.injected)


def test_a_file_that_an_undo_put_back_is_left_alone_until_it_changes(pawsort: Installation) -> None:
    path = pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    engine = open_database(pawsort.settings.database_url)
    [change] = undo(engine, pawsort.settings, by="ann", last=1)
    engine.dispose()
    assert change.problem is None
    pawsort.run_worker()
    assert os.path.exists(path)
    assert pawsort.rows("state, outcome") == [("undone", None)]
    os.utime(path, (1, 1))
    pawsort.run_worker()
    assert pawsort.rows("state, outcome") == [("filed", "cats")]
    conserved(pawsort.settings, pawsort.injected)


def test_a_file_that_an_undo_is_just_putting_back_is_left_alone(pawsort: Installation) -> None:
    path = pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.run_worker()
    [entry] = worker._ledger.entries([1])
    at = datetime.now(UTC)
    move = worker._ledger.begin_move(1, "undo", path, None, None, "ann", at)
    moves.move(entry.path or b"", path)
    pawsort.run_worker()
    assert os.path.exists(path)
    worker._ledger.finish_move(move.id, at)
    conserved(pawsort.settings, pawsort.injected)


def test_a_file_taken_out_of_the_spool_is_missing_and_its_neighbour_is_filed(pawsort: Installation) -> None:
    pawsort.drop("gone.jpg", b"1<cat>")
    worker = pawsort.worker(StubClassifier())
    worker.start()
    worker._classifier.poll = lambda timeout: []  # type: ignore[method-assign]
    while not worker._classifier.in_flight:
        worker.step()
    for path in files_below(pawsort.settings.spool):
        os.unlink(path)
    pawsort.drop("there.jpg", b"2<cat>")
    restarted = pawsort.run_worker()
    assert restarted.in_flight.missing == 1
    assert sorted(pawsort.rows("name, state")) == [("gone.jpg", "decoding"), ("there.jpg", "filed")]


def test_a_tidied_up_subfolder_does_not_stop_the_work(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("deep/a.jpg", b"<cat>")
    move = moves.move

    def move_and_tidy(source: bytes, destination: bytes) -> None:
        move(source, destination)
        if b"/spool/" in destination:
            (pawsort.settings.inboxes[0] / "deep").rmdir()

    monkeypatch.setattr(moves, "move", move_and_tidy)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/deep/a.jpg"}
    conserved(pawsort.settings, pawsort.injected)


def test_a_stuck_file_that_was_removed_is_not_reported_any_more(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = pawsort.drop("stuck.jpg", b"1<cat>")

    def refuse(source: bytes, destination: bytes) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    monkeypatch.setattr(moves, "move", refuse)
    worker = pawsort.worker()
    worker.start()
    while not worker.in_flight.stuck:
        worker.step()
    os.unlink(stuck)
    while worker.in_flight.stuck:
        worker.step()
    worker.stop()
    assert pawsort.rows() == []


@pytest.mark.fault(30)
@pytest.mark.parametrize("killed", [False, True])
def test_a_link_that_took_the_files_place_at_the_last_moment_is_put_back(
    pawsort: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    path = pawsort.drop("a.jpg", b"<cat>")
    (tmp_path / "secret").write_bytes(b"secret<cat>")
    move = moves.move

    def swap_and_move(source: bytes, destination: bytes) -> None:
        os.unlink(source)
        os.symlink(tmp_path / "secret", source)
        move(source, destination)
        if killed:
            raise Death

    monkeypatch.setattr(moves, "move", swap_and_move)
    worker = pawsort.worker()
    with contextlib.suppress(Death):
        run_until_idle(worker)
    monkeypatch.setattr(moves, "move", move)
    pawsort.run_worker()
    assert os.path.islink(path)
    assert pawsort.sorted() == set()
    assert list(pawsort.settings.spool.iterdir()) == []
    assert pawsort.rows() == []


@pytest.mark.fault(38)
def test_a_place_taken_at_the_last_moment_is_left_to_whoever_took_it(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("a.jpg", b"ours<cat>")
    decide = Ledger.decide

    def decide_and_lose_the_race(self: Ledger, verdicts: Any, at: Any) -> None:
        decide(self, verdicts, at)
        place = pawsort.settings.sorted / "cats" / "a.jpg"
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.write_bytes(b"theirs")

    monkeypatch.setattr(Ledger, "decide", decide_and_lose_the_race)
    pawsort.run_worker()
    assert (pawsort.settings.sorted / "cats" / "a.jpg").read_bytes() == b"theirs"
    assert (pawsort.settings.sorted / "cats" / "a (2).jpg").read_bytes() == b"ours<cat>"
