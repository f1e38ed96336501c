from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import RootTransaction
from sqlalchemy.exc import OperationalError

from db.engine import DatabaseError, DatabaseUnavailable, forget_connections, open_database
from db.ledger import Claim, Ledger
from db.overview import failed_paths
from db.sqlite import WRITES
from pipeline import claiming, config, filing
from pipeline.config import Settings
from pipeline.corrections import correct, retry, undo
from pipeline.service import prepare_folders
from pipeline.worker import Worker
from tests.oracle import conserved, files_below
from tests.stubs import BUNDLE, StubClassifier

SETTINGS = """
inboxes: [inbox, scans]
decision: {min_confidence: 0.9}
batch: {size: 4, wait_seconds: 0}
watch: {mode: polling, settle_seconds: 0, rescan_seconds: 0.05}
limits: {file_mb: 0.001}
"""


class World:
    """Folders, a database and a stub classifier; a new worker for each life."""

    def __init__(self, folder: Path, text: str = SETTINGS) -> None:
        path = folder / "config.yaml"
        path.write_text(text, encoding="utf-8")
        self.settings: Settings = config.load(path)
        prepare_folders(self.settings)
        self.injected: list[bytes] = []
        self.classifier = StubClassifier()
        self._engines: list[Engine] = []

    def drop(self, name: str | bytes, data: bytes, inbox: int = 0) -> bytes:
        path = os.path.join(os.fsencode(self.settings.inboxes[inbox]), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
        self.injected.append(data)
        return path

    def worker(self, classifier: StubClassifier | None = None, **options: Any) -> Worker:
        self.classifier = classifier or StubClassifier()
        engine = open_database(self.settings.database_url)
        self._engines.append(engine)
        return Worker(self.settings, BUNDLE, engine, self.classifier, **options)

    def live(self, classifier: StubClassifier | None = None) -> Worker:
        """One whole life: start, file everything, stop."""
        worker = self.worker(classifier)
        run_until_idle(worker)
        worker.stop()
        return worker

    def rows(self, columns: str = "name, outcome, reason") -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.settings.state / "pawsort.db") as database:
            return database.execute(f"SELECT {columns} FROM results ORDER BY id").fetchall()

    def sorted(self) -> set[str]:
        top = os.fsencode(self.settings.sorted)
        return {os.fsdecode(os.path.relpath(path, top)) for path in files_below(self.settings.sorted)}

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()


def run_until_idle(worker: Worker, steps: int = 3000) -> None:
    worker.start()
    for _ in range(steps):
        worker.step()
        if worker.idle:
            return
    raise AssertionError(f"not idle after {steps} steps: {worker.held} held, trouble: {worker.trouble}")


def step_until(worker: Worker, done: Callable[[], object], steps: int = 3000) -> None:
    for _ in range(steps):
        if done():
            return
        worker.step()
    raise AssertionError(f"waited in vain for {steps} steps")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def test_each_file_goes_to_the_folder_of_its_answer(world: World) -> None:
    for name in ("cat", "dog", "neither", "unsure", "truncated"):
        world.drop(f"{name}.jpg", f"<{name}>".encode())
    world.live()
    assert world.sorted() == {
        "cats/cat.jpg",
        "dogs/dog.jpg",
        "uncertain/neither.jpg",
        "uncertain/unsure.jpg",
        "failed/truncated.jpg",
    }
    assert set(world.rows()) == {
        ("cat.jpg", "cats", None),
        ("dog.jpg", "dogs", None),
        ("neither.jpg", "uncertain", "neither"),
        ("unsure.jpg", "uncertain", "low_confidence"),
        ("truncated.jpg", "failed", "truncated"),
    }
    conserved(world.settings, world.injected)


@pytest.mark.fault(38)
def test_subfolders_are_kept_and_equal_names_numbered(world: World) -> None:
    world.drop("a/b/x.jpg", b"1<cat>")
    world.drop("a/b/x.jpg", b"2<cat>", inbox=1)
    world.live()
    assert world.sorted() == {"cats/a/b/x.jpg", "cats/a/b/x (2).jpg"}
    conserved(world.settings, world.injected)


@pytest.mark.fault(33, 34, 35, 36)
def test_names_of_any_bytes_are_filed_with_the_same_bytes(world: World) -> None:
    names = [
        b"\xff\xfe.jpg",
        b"new\nline.jpg",
        b"back\\slash.jpg",
        b"-rf =+@.jpg",
        b"br[1]*.jpg",
        b"C" * 251 + b".jpg",
    ]
    for name in names:
        world.drop(name, name + b"<dog>")
    world.live()
    assert {os.path.basename(path) for path in files_below(world.settings.sorted)} == set(names)
    conserved(world.settings, world.injected)


@pytest.mark.fault(40)
def test_the_same_content_again_is_filed_like_its_twin_without_a_look(world: World) -> None:
    world.drop("a.jpg", b"<cat>")
    world.live()
    world.drop("b.jpg", b"<cat>")
    seen: list[bytes] = []
    classifier = StubClassifier()
    submit = classifier.submit
    classifier.submit = lambda items: (seen.extend(path for _, path in items), submit(items))[1]  # type: ignore
    world.live(classifier)
    assert seen == []
    assert world.rows("name, outcome, duplicate_of") == [("a.jpg", "cats", None), ("b.jpg", "cats", 1)]
    conserved(world.settings, world.injected)


@pytest.mark.fault(40)
def test_twins_in_one_batch_are_classified_once(world: World) -> None:
    for name in "abc":
        world.drop(f"{name}.jpg", b"<dog>")
    world.live()
    rows = world.rows("outcome, duplicate_of")
    assert Counter(outcome for outcome, _ in rows) == {"dogs": 3}
    assert sorted(duplicate is None for _, duplicate in rows) == [False, False, True]
    conserved(world.settings, world.injected)


def test_duplicates_can_be_held(tmp_path: Path) -> None:
    world = World(tmp_path, SETTINGS + "duplicates: hold\n")
    for name in "ab":
        world.drop(f"{name}.jpg", b"<dog>")
    world.live()
    assert {path.split("/")[0] for path in world.sorted()} == {"dogs", "duplicates"}
    conserved(world.settings, world.injected)
    world.close()


@pytest.mark.fault(32)
def test_what_is_empty_or_too_large_fails_without_a_decoder(world: World) -> None:
    world.drop("empty.jpg", b"")
    world.drop("large.jpg", b"x" * 1001)
    worker = world.live()
    assert set(world.rows()) == {("empty.jpg", "failed", "empty"), ("large.jpg", "failed", "too_large")}
    assert worker.outcomes == {"failed": 2}


@pytest.mark.fault(50, 52)
def test_poison_fails_alone_and_its_neighbours_are_filed(world: World) -> None:
    for n in range(3):
        world.drop(f"{n}.jpg", f"{n}<cat>".encode())
    world.drop("poison.jpg", b"<crash>")
    world.drop("hang.jpg", b"<hang>")
    world.live()
    outcomes = {name: (outcome, reason) for name, outcome, reason in world.rows()}
    assert outcomes.pop("poison.jpg") == ("failed", "decoder_crashed")
    assert outcomes.pop("hang.jpg") == ("failed", "timeout")
    assert set(outcomes.values()) == {("cats", None)}
    assert max(Counter(world.classifier.alone).values()) == world.settings.limits.attempts
    conserved(world.settings, world.injected)


@pytest.mark.fault(54, 55)
def test_poison_that_kills_the_worker_too_is_known_after_restarts(world: World) -> None:
    world.drop("poison.jpg", b"<cat>")

    class Killer(StubClassifier):
        def poll(self, timeout: float) -> Any:
            if self.in_flight:
                raise SystemExit("killed with the decoder")
            return []

    for _ in range(world.settings.limits.attempts):
        with pytest.raises(SystemExit):
            run_until_idle(world.worker(Killer()))
    world.live()
    assert world.rows() == [("poison.jpg", "failed", "decoder_crashed")]
    conserved(world.settings, world.injected)


def test_an_interruption_by_us_does_not_count_against_a_file(world: World) -> None:
    world.drop("slow.jpg", b"<cat>")

    class Slow(StubClassifier):
        def poll(self, timeout: float) -> Any:
            return []

    for _ in range(world.settings.limits.attempts + 1):
        clock = iter(range(0, 10**6, 3))
        worker = world.worker(Slow(), monotonic=lambda clock=clock: float(next(clock)))
        worker.start()
        for _ in range(20):
            worker.step()
        assert worker.held == 1
        worker.stop()
    world.live()
    assert world.rows() == [("slow.jpg", "cats", None)]


@pytest.mark.fault(57)
def test_a_broken_engine_stops_the_worker_and_leaves_the_file(world: World) -> None:
    from pipeline.errors import ModelError

    world.drop("a.jpg", b"<broken>")
    worker = world.worker()
    with pytest.raises(ModelError, match="broken"):
        run_until_idle(worker)
    worker.stop()
    assert world.rows("outcome") == [(None,)]
    conserved(world.settings, world.injected, idle=False)


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
    move = filing.move

    def replace_then_move(source: bytes, destination: bytes) -> None:
        if os.path.dirname(destination) == os.fsencode(world.settings.spool):
            aside = world.settings.state / "aside"
            aside.write_bytes(b"meanwhile<dog>")
            os.replace(aside, source)
        move(source, destination)

    monkeypatch.setattr(filing, "move", replace_then_move)
    world.live()
    world.injected[:] = [b"meanwhile<dog>"]
    conserved(world.settings, world.injected)


@pytest.mark.fault(18)
def test_writing_after_the_claim_starts_the_file_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.drop("late.jpg", b"<cat>")
    worker = world.worker()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    # A share on which no lease tells of the writer.
    monkeypatch.setattr("pipeline.claiming.leased", lambda _: None)
    monkeypatch.setattr("pipeline.answering.leased", lambda _: None)
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


def test_a_failure_that_is_tried_again_is_classified_as_if_it_had_just_come(world: World) -> None:
    world.drop("x.jpg", b"<truncated>")
    world.live()
    assert world.rows("id, outcome") == [(1, "failed")]
    engine = open_database(world.settings.database_url, "write")
    [change] = retry(engine, world.settings, "ann", failed_paths(engine, "truncated"))
    engine.dispose()
    assert change.problem is None
    assert world.rows() == []
    world.live()
    assert world.rows("id, outcome, reason") == [(2, "failed", "truncated")]
    conserved(world.settings, world.injected)


def test_a_file_that_an_undo_is_just_putting_back_is_left_alone(world: World) -> None:
    path = world.drop("a.jpg", b"<cat>")
    worker = world.live()
    [entry] = worker._ledger.entries([1])
    at = datetime.now(UTC)
    move = worker._ledger.begin_move(1, "undo", path, None, None, "ann", at)
    filing.move(entry.path or b"", path)
    world.live()
    assert os.path.exists(path)
    worker._ledger.finish_move(move.id, at)
    conserved(world.settings, world.injected)


def test_a_file_taken_out_of_the_spool_is_missing_and_its_neighbour_is_filed(world: World) -> None:
    world.drop("gone.jpg", b"1<cat>")
    worker = world.worker(StubClassifier())
    worker.start()
    worker._classifier.poll = lambda timeout: []  # type: ignore[method-assign]
    while not worker._steps.answering.in_flight:
        worker.step()
    for path in files_below(world.settings.spool):
        os.unlink(path)
    world.drop("there.jpg", b"2<cat>")
    restarted = world.live()
    assert restarted.missing == 1
    assert sorted(world.rows("name, state")) == [("gone.jpg", "decoding"), ("there.jpg", "filed")]


# --- order of durable steps -------------------------------------------------------------------------------


@pytest.mark.fault(63)
def test_renames_are_durable_before_the_ledger_relies_on_them(
    world: World, monkeypatch: pytest.MonkeyPatch
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
        for path in (world.settings.inboxes[0], world.settings.spool, world.settings.sorted / "cats")
    )
    places = {inbox: "inbox", spool: "spool", cats: "cats"}
    noted(filing, "sync_folders", lambda folders: "sync " + " ".join(sorted(places[f] for f in folders)))
    noted(filing, "move", lambda source, destination: f"move to {places[os.path.dirname(destination)]}")
    for name in ("claim", "begin_decoding", "decide", "file"):
        noted(Ledger, name, lambda *_, name=name: name)
    world.drop("a.jpg", b"<cat>")
    world.live()
    steps = ["claim", "move to spool", "sync inbox spool", "begin_decoding", "decide", "move to cats"]
    assert [step for step in order if step != "sync "] == [*steps, "sync cats spool", "file"]


# --- a bad world ------------------------------------------------------------------------------------------


@pytest.mark.fault(64)
def test_a_full_disk_pauses_and_the_work_goes_on_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        world.drop(f"{n}.jpg", f"{n}<cat>".encode())
    move, full = filing.move, True

    def refuse(source: bytes, destination: bytes) -> None:
        if full and b"/sorted/" in destination:
            raise OSError(errno.ENOSPC, "No space left on device", destination)
        move(source, destination)

    monkeypatch.setattr(filing, "move", refuse)
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    worker = world.worker()
    worker.start()
    for _ in range(50):
        worker.step()
    assert worker.trouble is not None
    assert "No space left" in worker.trouble
    conserved(world.settings, world.injected, idle=False)
    full = False
    while not worker.idle:
        worker.step()
    assert worker.trouble is None
    worker.stop()
    assert {outcome for _, outcome, _ in world.rows()} == {"cats"}
    conserved(world.settings, world.injected)


def test_one_odd_file_harms_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        world.drop(f"{n}.jpg", f"{n}<cat>".encode())
    odd = world.drop("odd.jpg", b"odd<cat>")
    settled = claiming.is_settled

    def corrupt(arrival: Any) -> bool:
        if arrival.source == b"odd.jpg":
            raise OSError(errno.EUCLEAN, "Structure needs cleaning")
        return settled(arrival)

    monkeypatch.setattr("pipeline.worker.is_settled", corrupt)
    worker = world.live()
    assert len(world.sorted()) == 6
    assert worker.left == 1
    assert os.path.exists(odd)


def test_a_batch_that_was_refused_a_claim_comes_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        world.drop(f"{n}.jpg", f"{n}<cat>".encode())
    claim, refusals = Ledger.claim, 2

    def locked(self: Ledger, *args: Any) -> Any:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise DatabaseUnavailable("locked")
        return claim(self, *args)

    monkeypatch.setattr(Ledger, "claim", locked)
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    world.live()
    assert len(world.sorted()) == 3
    conserved(world.settings, world.injected)


@pytest.mark.fault(82)
def test_a_database_that_may_be_written_again_is_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    world.drop("a.jpg", b"<cat>")
    worker = world.worker()
    connect, refusals = sqlite3.connect, 1

    def read_only(path: str, **options: Any) -> sqlite3.Connection:
        # What SQLite makes of a file that it may not open for writing.
        nonlocal refusals
        if refusals:
            refusals -= 1
            path = path.replace("mode=rw", "mode=ro")
        return connect(path, **options)

    forget_connections(worker._engine)
    monkeypatch.setattr("db.sqlite.sqlite3.connect", read_only)
    run_until_idle(worker, steps=200)
    worker.stop()
    conserved(world.settings, world.injected)


def test_nothing_is_taken_before_the_recovery_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.drop("a.jpg", b"<cat>")
    worker = world.worker()
    identity = filing.identity(path)
    claim = Claim(os.fspath(world.settings.inboxes[0]), b"a.jpg", *identity, datetime.now(UTC))
    [ticket] = worker._ledger.claim([claim], datetime.now(UTC))
    # A claim by copy that was cut off before the original was removed.
    shutil.copy2(path, os.path.join(os.fsencode(world.settings.spool), os.fsencode(ticket.spool_name)))
    entries, refusals = Ledger.unfinished, 50

    def locked(self: Ledger) -> Any:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise DatabaseUnavailable("locked")
        return entries(self)

    monkeypatch.setattr(Ledger, "unfinished", locked)
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.01,))
    world.live()
    assert refusals < 0
    assert len(world.rows()) == 1
    conserved(world.settings, world.injected)


@pytest.mark.fault(70)
def test_another_disk_in_place_of_sorted_takes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    worker = world.worker()
    run_until_idle(worker)
    away = world.settings.sorted.with_name("away")
    world.settings.sorted.rename(away)
    world.settings.sorted.mkdir()
    world.drop("a.jpg", b"<cat>")
    step_until(worker, lambda: worker.trouble)
    assert world.sorted() == set()
    assert "another folder" in str(worker.trouble)
    world.settings.sorted.rmdir()
    away.rename(world.settings.sorted)
    while not worker.idle:
        worker.step()
    worker.stop()
    conserved(world.settings, world.injected)


def test_once_says_when_an_inbox_is_not_there(world: World) -> None:
    world.settings.inboxes[1].rmdir()
    worker = world.live()
    assert worker.unreachable


def test_a_tidied_up_subfolder_does_not_stop_the_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop("deep/a.jpg", b"<cat>")
    move = filing.move

    def move_and_tidy(source: bytes, destination: bytes) -> None:
        move(source, destination)
        if b"/spool/" in destination:
            (world.settings.inboxes[0] / "deep").rmdir()

    monkeypatch.setattr(filing, "move", move_and_tidy)
    world.live()
    assert world.sorted() == {"cats/deep/a.jpg"}
    conserved(world.settings, world.injected)


def test_a_twin_of_a_corrected_photo_goes_where_the_person_said(world: World) -> None:
    world.drop("a.jpg", b"<unsure>")
    world.live()
    engine = open_database(world.settings.database_url)
    [change] = correct(engine, world.settings, [b"a.jpg"], "dog", "ann", folders=BUNDLE.folders)
    engine.dispose()
    assert change.problem is None
    world.drop("b.jpg", b"<unsure>")
    world.live()
    assert world.rows("name, outcome, reason, duplicate_of")[1] == ("b.jpg", "dogs", None, 1)
    conserved(world.settings, world.injected)


@pytest.mark.fault(84)
def test_a_database_that_was_deleted_under_it_stops_the_worker_and_the_files_stay(world: World) -> None:
    worker = world.worker()
    run_until_idle(worker)
    for path in world.settings.state.glob("pawsort.db*"):
        path.unlink()
    path = world.drop("a.jpg", b"<cat>")
    with pytest.raises(DatabaseError, match="deleted"):
        for _ in range(100):
            worker.step()
    worker.stop()
    assert os.path.exists(path)


@pytest.mark.fault(72, 73)
def test_a_file_that_cannot_be_moved_has_one_row_and_harms_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = world.drop("stuck.jpg", b"1<cat>")
    world.drop("free.jpg", b"2<cat>")
    move = filing.move

    def refuse(source: bytes, destination: bytes) -> None:
        if source.endswith(b"/stuck.jpg"):
            raise PermissionError(errno.EPERM, "Operation not permitted", source)
        move(source, destination)

    monkeypatch.setattr(filing, "move", refuse)
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    worker = world.live()
    assert world.sorted() == {"cats/free.jpg"}
    assert os.path.exists(stuck)
    assert worker.left
    assert sorted(world.rows("name, state")) == [("free.jpg", "filed"), ("stuck.jpg", "claimed")]
    monkeypatch.setattr(filing, "move", move)
    world.live()
    assert world.sorted() == {"cats/free.jpg", "cats/stuck.jpg"}
    conserved(world.settings, world.injected)


def test_a_stuck_file_that_somebody_took_away_is_no_worry_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = world.drop("stuck.jpg", b"1<cat>")

    def refuse(source: bytes, destination: bytes) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    monkeypatch.setattr(filing, "move", refuse)
    worker = world.worker()
    worker.start()
    while not worker.stuck:
        worker.step()
    os.unlink(stuck)
    while worker.stuck:
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
    move = filing.move

    def swap_and_move(source: bytes, destination: bytes) -> None:
        os.unlink(source)
        os.symlink(tmp_path / "secret", source)
        move(source, destination)
        if killed:
            raise Killed

    monkeypatch.setattr(filing, "move", swap_and_move)
    worker = world.worker()
    with contextlib.suppress(Killed):
        run_until_idle(worker)
    monkeypatch.setattr(filing, "move", move)
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


# --- death at every point -----------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


STEPS: list[tuple[Any, str]] = [
    (filing, "move"),
    (filing, "resume"),
    (filing, "sync_folders"),
    *(
        (Ledger, name)
        for name in ("claim", "vanish", "begin_decoding", "decide", "redirect", "file", "reclaim", "adopt")
    ),
]


def kill_at(monkeypatch: pytest.MonkeyPatch, point: int, *, after: bool) -> Callable[[], int]:
    """Let call number `point` of those that change the world be the last, before or after its effect."""
    calls = 0

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == point and not after:
                raise Killed
            result = original(*args, **kwargs)
            if calls == point and after:
                raise Killed
            return result

        return call

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, wrap(getattr(owner, name)))
    return lambda: calls


def a_day_at_the_shelter(world: World) -> None:
    world.drop("a.jpg", b"1<cat>")
    world.drop("a.jpg", b"2<cat>", inbox=1)
    world.drop("deep/b.jpg", b"3<dog>")
    world.drop("twin.jpg", b"3<dog>")
    world.drop("bad.jpg", b"<truncated>")
    world.drop("poison.jpg", b"<crash>")


def test_a_copy_that_could_neither_be_finished_nor_taken_back_is_not_made_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("a.jpg", b"<cat>")
    refusals = 2
    unlink, rename = os.unlink, filing.rename

    def no_unlink(path: Any, **options: Any) -> None:
        nonlocal refusals
        if refusals and os.fsencode(path).count(b"/cats/a.jpg" if refusals == 1 else b"/spool/1-"):
            refusals -= 1
            raise OSError(errno.EIO, "Input/output error", path)
        unlink(path, **options)

    def across(source: bytes, destination: bytes) -> None:
        if os.path.dirname(source) != os.path.dirname(destination) and b"/sorted/" in destination:
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        rename(source, destination)

    monkeypatch.setattr(filing, "rename", across)
    monkeypatch.setattr("pipeline.filing.os.unlink", no_unlink)
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    world.live()
    assert not refusals
    assert world.sorted() == {"cats/a.jpg"}
    conserved(world.settings, world.injected)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("again", [0, 3], ids=["once", "and-in-recovery"])
def test_killed_at_every_step_nothing_is_lost(tmp_path: Path, after: bool, again: int) -> None:
    point = 0
    while True:
        point += 1
        folder = tmp_path / str(point)
        folder.mkdir()
        world = World(folder)
        a_day_at_the_shelter(world)
        died = 0
        for kill in (point, again):
            with pytest.MonkeyPatch.context() as patch:
                kill_at(patch, kill, after=after)
                try:
                    run_until_idle(world.worker())
                except Killed:
                    died += 1
        world.live()
        conserved(world.settings, world.injected)
        assert len(world.rows()) == len(world.injected), f"killed at {point}"
        world.close()
        if not died:
            break
    assert point > 15, "the sweep met fewer points than there are steps"


# --- commits of which nobody knows whether they were done ---------------------------------------------


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
    world: World, monkeypatch: pytest.MonkeyPatch, at: int, done: bool
) -> None:
    monkeypatch.setattr("pipeline.worker.BACKOFF_SECONDS", (0.0,))
    world.drop("cat.jpg", b"<cat>")
    world.drop("bad.jpg", b"<truncated>")
    worker = world.worker()
    unclear = Unclear(at, done)
    monkeypatch.setattr(RootTransaction, "commit", lambda self: unclear.commit(self))
    run_until_idle(worker)
    world.drop("again.jpg", b"<cat>")
    step_until(worker, lambda: worker.idle and len(world.rows()) == 3)
    worker.stop()
    assert unclear.count >= at, f"there are only {unclear.count} commits"
    found = sorted(world.rows("name, outcome"))
    assert found == [("again.jpg", "cats"), ("bad.jpg", "failed"), ("cat.jpg", "cats")]
    assert worker.outcomes == {"cats": 2, "failed": 1}
    conserved(world.settings, world.injected)


def test_what_is_filed_and_not_yet_reported_outlives_an_unclear_commit(world: World) -> None:
    reported: list[Any] = []
    worker = world.worker(on_filed=reported.extend)
    world.drop("cat.jpg", b"<cat>")
    run_until_idle(worker)
    worker._steps.placing.filed = list(reported)
    worker._begin_anew()
    step_until(worker, lambda: worker.idle)
    worker.stop()
    assert [held.source for held in reported] == [b"cat.jpg", b"cat.jpg"]
