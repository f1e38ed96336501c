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
from tests.support.oracle import conserved, files_below
from tests.support.stub_classifier import StubClassifier
from tests.support.world import World, run_until_idle, step_until


def test_a_file_put_in_while_it_works_is_filed_too(world: World) -> None:
    world.drop("first.jpg", b"1<cat>")
    worker = world.worker()
    run_until_idle(worker)
    world.drop("deep/er/second.jpg", b"2<cat>")
    while len(world.sorted()) < 2:
        worker.step()
    worker.stop()
    conserved(world.settings, world.injected)


@pytest.mark.fault(24, 25)
def test_what_is_no_regular_file_is_left_alone(world: World, tmp_path: Path) -> None:
    inbox = world.settings.inboxes[0]
    (tmp_path / "outside.jpg").write_bytes(b"<cat>")
    (inbox / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    os.mkfifo(inbox / "pipe.jpg")
    world.drop("cat.jpg", b"2<cat>")
    world.live()
    assert world.sorted() == {"cats/cat.jpg"}
    assert sorted(path.name for path in inbox.iterdir()) == ["link.jpg", "pipe.jpg"]


@pytest.mark.fault(11)
def test_a_file_that_is_still_written_to_is_not_taken(world: World) -> None:
    path = world.drop("slow.jpg", b"")
    worker = world.worker()
    worker.start()
    with open(path, "ab") as writer:
        for _ in range(50):
            worker.step()
        assert world.rows() == []
        writer.write(b"<dog>")
    world.injected[:] = [b"<dog>"]
    while not world.sorted():
        worker.step()
    worker.stop()
    assert world.rows() == [("slow.jpg", "dogs", None)]
    conserved(world.settings, world.injected)


@pytest.mark.fault(17)
def test_a_file_replaced_at_the_moment_of_the_claim_is_recorded_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("a.jpg", b"before<cat>")
    move = moves.move

    def replace_then_move(source: bytes, destination: bytes) -> None:
        if os.path.dirname(destination) == os.fsencode(world.settings.spool):
            aside = world.settings.state / "aside"
            aside.write_bytes(b"meanwhile<dog>")
            os.replace(aside, source)
        move(source, destination)

    monkeypatch.setattr(moves, "move", replace_then_move)
    world.live()
    world.injected[:] = [b"meanwhile<dog>"]
    conserved(world.settings, world.injected)


def test_a_file_that_is_offered_twice_is_claimed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a batch waits for longer than an inbox holds a file back that it has handed out."""
    honest = Inbox.poll
    monkeypatch.setattr(Inbox, "poll", lambda self, **limits: 2 * honest(self, **limits))
    world.drop("a.jpg", b"<cat>")
    world.live()
    with sqlite3.connect(world.settings.state / "pawsort.db") as database:
        assert database.execute("SELECT state FROM files").fetchall() == [("filed",)]
    conserved(world.settings, world.injected)


@pytest.mark.fault(18)
def test_writing_after_the_claim_starts_the_file_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.drop("late.jpg", b"<cat>")
    worker = world.worker()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    # A share on which no lease tells of the writer.
    monkeypatch.setattr("pipeline.worker.claim.leased", lambda _: None)
    monkeypatch.setattr("pipeline.classifier.file_checks.leased", lambda _: None)
    collect = StubClassifier.poll

    def write_then_poll(self: StubClassifier, timeout: float) -> Any:
        if self.in_flight and os.fstat(descriptor).st_size == 5:
            os.write(descriptor, b"more")
        return collect(self, timeout)

    monkeypatch.setattr(StubClassifier, "poll", write_then_poll)
    worker.start()
    while not world.sorted():
        worker.step()
    worker.stop()
    os.close(descriptor)
    world.injected[:] = [b"<cat>more"]
    conserved(world.settings, world.injected)


@pytest.mark.fault(18)
def test_a_file_that_is_open_for_writing_when_it_is_read_waits_for_its_writer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.drop("open.jpg", b"<cat>")
    with open(path, "rb") as file:
        if leased(file.fileno()) is None:
            pytest.skip("this file system knows no leases")
    # It was opened just after the claim.
    monkeypatch.setattr("pipeline.worker.claim.leased", lambda _: None)
    worker = world.worker()
    worker.start()
    with open(path, "ab") as writer:
        step_until(worker, lambda: worker.in_flight.left)
        assert not world.sorted() and not worker.in_flight.stuck
        writer.write(b"more")
    while not world.sorted():
        worker.step()
    worker.stop()
    world.injected[:] = [b"<cat>more"]
    conserved(world.settings, world.injected)


def test_a_file_that_an_undo_put_back_is_left_alone_until_it_changes(world: World) -> None:
    path = world.drop("a.jpg", b"<cat>")
    world.live()
    engine = open_database(world.settings.database_url)
    [change] = undo(engine, world.settings, by="ann", last=1)
    engine.dispose()
    assert change.problem is None
    world.live()
    assert os.path.exists(path)
    assert world.rows("state, outcome") == [("undone", None)]
    os.utime(path, (1, 1))
    world.live()
    assert world.rows("state, outcome") == [("filed", "cats")]
    conserved(world.settings, world.injected)


def test_a_file_that_an_undo_is_just_putting_back_is_left_alone(world: World) -> None:
    path = world.drop("a.jpg", b"<cat>")
    worker = world.live()
    [entry] = worker._ledger.entries([1])
    at = datetime.now(UTC)
    move = worker._ledger.begin_move(1, "undo", path, None, None, "ann", at)
    moves.move(entry.path or b"", path)
    world.live()
    assert os.path.exists(path)
    worker._ledger.finish_move(move.id, at)
    conserved(world.settings, world.injected)


def test_a_file_taken_out_of_the_spool_is_missing_and_its_neighbour_is_filed(world: World) -> None:
    world.drop("gone.jpg", b"1<cat>")
    worker = world.worker(StubClassifier())
    worker.start()
    worker._classifier.poll = lambda timeout: []  # type: ignore[method-assign]
    while not worker._classifier.in_flight:
        worker.step()
    for path in files_below(world.settings.spool):
        os.unlink(path)
    world.drop("there.jpg", b"2<cat>")
    restarted = world.live()
    assert restarted.in_flight.missing == 1
    assert sorted(world.rows("name, state")) == [("gone.jpg", "decoding"), ("there.jpg", "filed")]


def test_a_tidied_up_subfolder_does_not_stop_the_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("deep/a.jpg", b"<cat>")
    move = moves.move

    def move_and_tidy(source: bytes, destination: bytes) -> None:
        move(source, destination)
        if b"/spool/" in destination:
            (world.settings.inboxes[0] / "deep").rmdir()

    monkeypatch.setattr(moves, "move", move_and_tidy)
    world.live()
    assert world.sorted() == {"cats/deep/a.jpg"}
    conserved(world.settings, world.injected)


def test_a_stuck_file_that_was_removed_is_not_reported_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = world.drop("stuck.jpg", b"1<cat>")

    def refuse(source: bytes, destination: bytes) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    monkeypatch.setattr(moves, "move", refuse)
    worker = world.worker()
    worker.start()
    while not worker.in_flight.stuck:
        worker.step()
    os.unlink(stuck)
    while worker.in_flight.stuck:
        worker.step()
    worker.stop()
    assert world.rows() == []


@pytest.mark.fault(30)
@pytest.mark.parametrize("killed", [False, True])
def test_a_link_that_took_the_files_place_at_the_last_moment_is_put_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    path = world.drop("a.jpg", b"<cat>")
    (tmp_path / "secret").write_bytes(b"secret<cat>")
    move = moves.move

    def swap_and_move(source: bytes, destination: bytes) -> None:
        os.unlink(source)
        os.symlink(tmp_path / "secret", source)
        move(source, destination)
        if killed:
            raise Death

    monkeypatch.setattr(moves, "move", swap_and_move)
    worker = world.worker()
    with contextlib.suppress(Death):
        run_until_idle(worker)
    monkeypatch.setattr(moves, "move", move)
    world.live()
    assert os.path.islink(path)
    assert world.sorted() == set()
    assert list(world.settings.spool.iterdir()) == []
    assert world.rows() == []


@pytest.mark.fault(38)
def test_a_place_taken_at_the_last_moment_is_left_to_whoever_took_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("a.jpg", b"ours<cat>")
    decide = Ledger.decide

    def decide_and_lose_the_race(self: Ledger, verdicts: Any, at: Any) -> None:
        decide(self, verdicts, at)
        place = world.settings.sorted / "cats" / "a.jpg"
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.write_bytes(b"theirs")

    monkeypatch.setattr(Ledger, "decide", decide_and_lose_the_race)
    world.live()
    assert (world.settings.sorted / "cats" / "a.jpg").read_bytes() == b"theirs"
    assert (world.settings.sorted / "cats" / "a (2).jpg").read_bytes() == b"ours<cat>"
