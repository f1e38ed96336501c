"""When scans are made, how much of the time they take, and what the worker's service does with them."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from db.connection.errors import DatabaseUnavailable
from db.queries import places
from pipeline.by_hand import comparison, follower, take_up
from pipeline.by_hand.follower import Follower
from pipeline.by_hand.recorder import Recorder
from pipeline.service import service
from pipeline.watch import inotify
from pipeline.watch.stability import FileSnapshot
from tests.pipeline.by_hand.conftest import Followed
from tests.support.installation import FOLDERS, QUICK, wait
from tests.support.stub_classifier import BUNDLE, StubClassifier

NATIVE = QUICK.replace("polling", "native").replace("rescan_seconds: 0.05", "rescan_seconds: 3600")


@pytest.fixture
def native(tmp_path: Path) -> Iterator[Followed]:
    """An installation that is followed by events, with a scan behind it and the next one far away."""
    pawsort = Followed(tmp_path, NATIVE)
    for folder in ("cats", "dogs"):
        (pawsort.settings.sorted / folder).mkdir()
    pawsort.follow()
    yield pawsort
    pawsort.close()


def go_on(pawsort: Followed) -> Follower:
    """Let the follower take its hints, and scan if they say so; the hour to the next scan must not pass."""
    assert pawsort.follower
    pawsort.clock += 0.5
    pawsort.follower.advance(busy=False)
    return pawsort.follower


def test_files_that_the_worker_files_cause_no_scan(native: Followed) -> None:
    assert native.follower
    scans = native.follower.scans
    seen: list[int] = []
    agree = native.follower._agree
    native.follower._agree = lambda paths: seen.append(len(paths)) or agree(paths)  # type: ignore[method-assign,func-returns-value]
    for n in range(20):
        native.file(b"trip/%d.jpg" % n, b"%d" % n)
    wait(lambda: go_on(native) and sum(seen) >= 20)
    native.correct(b"cats/trip/3.jpg")
    wait(lambda: go_on(native) and sum(seen) >= 22)
    assert native.follower.scans == scans


@pytest.mark.parametrize("what", ["file", "folder", "deleted", "added", "edited", "folder-away"])
def test_an_event_lets_a_scan_follow_soon(native: Followed, what: str, tmp_path: Path) -> None:
    id = native.file(b"trip/a.jpg", b"1", "cats")
    native.file(b"trip/b.jpg", b"2", "cats")
    native.follow()
    if what == "file":
        native.move("cats/trip/a.jpg", "dogs/a.jpg")
    elif what == "folder":
        native.move("cats/trip", "dogs/trip")
    elif what == "deleted":
        os.unlink(native.at("cats/trip/a.jpg"))
    elif what == "added":
        native.put("cats/trip/c.png")
    elif what == "edited":
        native.put("cats/trip/a.jpg", b"cropped")
    else:
        os.rename(native.at("cats/trip"), tmp_path / "away")
    before = native.state(id), native.rows("count(*)"), native.rows("bytes")
    wait(
        lambda: go_on(native) and (native.state(id), native.rows("count(*)"), native.rows("bytes")) != before
    )


def test_events_that_were_lost_let_a_scan_follow(native: Followed) -> None:
    assert native.follower
    scans = native.follower.scans
    native.follower._watcher.events.lose()
    wait(lambda: go_on(native).scans > scans, seconds=30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_of_events_that_died_is_started_again(
    native: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = native.file(b"a.jpg", b"1", "cats")
    assert native.follower
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("a defect")

        patch.setattr(inotify.InotifyWatch, "on_event", fail)
        native.move("cats/a.jpg", "dogs/a.jpg")
        wait(lambda: native.follower and native.follower._watcher.dead)
    wait(lambda: go_on(native) and native.state(id)[1] == "dogs")
    assert native.follower._watcher.watching


def test_scans_take_a_small_share_of_the_time_while_photos_are_filed(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        pawsort.file(b"%d.jpg" % n, b"%d" % n)
    clock = iter(range(10_000_000))
    pawsort.clock = 0.0
    busy = Follower(pawsort.engine, pawsort.settings, FOLDERS, clock=lambda: next(clock) / 1e4)
    worked = idle = 0.0
    advance = busy._advance

    def counted(until: float) -> None:
        nonlocal worked
        began = next(clock)
        advance(until)
        worked += (next(clock) - began) / 1e4

    monkeypatch.setattr(busy, "_advance", counted)
    for _ in range(100_000):
        busy.advance(busy=True)
    idle = next(clock) / 1e4
    assert busy.scans > 1
    assert worked < 1.5 * follower.BUSY_SHARE * idle


def test_the_time_to_the_next_scan_grows_with_that_of_the_last(pawsort: Followed) -> None:
    assert pawsort.follower
    pawsort.follower._cost = 100.0
    pawsort.follower._end_scan()
    assert pawsort.follower._scan_at >= pawsort.clock + 100.0 / follower.SHARE
    pawsort.follower._change()
    assert pawsort.clock + 900.0 < pawsort.follower._scan_at <= pawsort.clock + 1001.0


def test_what_was_taken_up_does_not_delay_the_next_scan(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of new photos are read once; a photo that is dragged afterwards is recorded soon."""
    hashed = take_up.digest

    def slowly(seen: FileSnapshot) -> Generator[None, None, str | None]:
        pawsort.clock += 100.0
        return (yield from hashed(seen))

    monkeypatch.setattr(take_up, "digest", slowly)
    pawsort.put("cats/a.png")
    soon = pawsort.follow()._scan_at
    assert soon < pawsort.clock + 100.0
    monkeypatch.setattr(Recorder, "additions", lambda *_: iter(()))
    pawsort.put("cats/b.png")
    assert pawsort.follow()._scan_at >= pawsort.clock + 100.0 / follower.SOON_SHARE - 1.0


def test_a_database_that_is_away_is_tried_again(pawsort: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.move("cats/a.jpg", "dogs/a.jpg")

    def away(*_: object) -> None:
        raise DatabaseUnavailable("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(places, "page", away)
        pawsort.clock += 100
        assert pawsort.follower
        pawsort.follower.advance(busy=False)
        assert "the database is locked" in pawsort.follower.notes[0]
    pawsort.follow()
    assert pawsort.state(id)[1] == "dogs"
    assert pawsort.follower.notes == ()


def test_more_changes_than_one_scan_keeps_are_taken_up_by_the_next(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "MOST", 3)
    assert pawsort.follower
    pawsort.follower._missing.seconds = 0.0
    ids = [pawsort.file(b"%d.jpg" % n, b"%d" % n) for n in range(20)]
    # Whichever are listed first, those that were moved come after some.
    for n in range(10):
        pawsort.put(f"dogs/new {n}.png")
    for n in range(10):
        pawsort.move(f"cats/{n}.jpg", f"dogs/{n}.jpg")
        if n:
            os.unlink(pawsort.at(f"cats/{10 + n}.jpg"))
    for n in range(10, 20):
        pawsort.put(f"dogs/new {n}.png")
    for _ in range(15):
        pawsort.follow()
    assert {pawsort.state(id)[:2] for id in ids[:10]} == {("filed", "dogs")}
    assert {pawsort.state(id)[0] for id in ids[11:]} == {"removed"}
    assert {move.kind for id in ids[:10] for move in pawsort.ledger.moves(id)} == {"correct"}
    assert pawsort.found() == []


def test_two_thousand_moves_at_once(pawsort: Followed) -> None:
    folder = pawsort.settings.sorted / "uncertain"
    for n in range(2000):
        (folder / f"{n}.jpg").write_bytes(b"%d" % n)
    pawsort.follow()
    assert pawsort.rows("count(*)") == [(2000,)]
    for n in range(2000):
        pawsort.move(f"uncertain/{n}.jpg", f"rabbits/{n}.jpg")
    began = time.process_time()
    pawsort.follow()
    assert pawsort.rows("count(*)", "outcome = 'rabbits' AND corrected_to = 'rabbits'") == [(2000,)]
    assert time.process_time() - began < 24
    assert pawsort.found() == []


# --- the service


@pytest.fixture
def once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Followed]:
    """An installation for `run --once` with a stub."""
    monkeypatch.setattr(service, "load_bundle", lambda _: BUNDLE)
    pawsort = Followed(tmp_path, QUICK)
    yield pawsort
    pawsort.close()


def test_run_once_takes_up_what_was_done_by_hand(once: Followed) -> None:
    once.drop("a.jpg", b"1<cat>")
    once.drop("b.jpg", b"2<cat>")
    assert service.run(once.settings, once=True, classifier=StubClassifier()) == 0
    once.move("cats/a.jpg", "dogs/a.jpg")
    os.unlink(once.at("cats/b.jpg"))
    assert service.run(once.settings, once=True, classifier=StubClassifier()) == 0
    assert once.rows("outcome, corrected_to, state", "state = 'filed'") == [("dogs", "dog", "filed")]
    assert once.rows("name", "state = 'removed'") == [("b.jpg",)]
    assert once.found() == []


def test_without_the_setting_nothing_is_recorded(once: Followed, tmp_path: Path) -> None:
    once.drop("a.jpg", b"1<cat>")
    off = Followed(tmp_path, QUICK.replace("mode: polling", "mode: polling, sorted: false"))
    assert service.run(off.settings, once=True, classifier=StubClassifier()) == 0
    off.move("cats/a.jpg", "dogs/a.jpg")
    assert service.run(off.settings, once=True, classifier=StubClassifier()) == 0
    assert off.rows("outcome") == [("cats",)]
    assert not any("the worker takes this up" in line for line in off.found())
    off.close()


def test_doctor_says_that_the_worker_takes_it_up(once: Followed) -> None:
    once.drop("a.jpg", b"1<cat>")
    service.run(once.settings, once=True, classifier=StubClassifier())
    once.move("cats/a.jpg", "dogs/a.jpg")
    lines = once.found()
    assert [line.split(":")[0] for line in lines] == ["missing", "unrecorded"]
    assert all("the worker takes this up when it runs" in line for line in lines)


def test_the_log_says_in_words_what_was_taken_up(pawsort: Followed, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(4):
        pawsort.file(b"%d.jpg" % n, b"%d" % n)
    pawsort.follow()
    caplog.set_level("INFO")
    cats = pawsort.settings.sorted / "cats"
    (cats / "0.jpg").rename(cats / "moved.jpg")
    (cats / "1.jpg").write_bytes(b"edited")
    (cats / "2.jpg").unlink()
    for _ in range(3):
        pawsort.follow()
    assert [said.split(": ")[1] for said in caplog.messages if "taken up by hand" in said] == [
        "1 edited, 1 moved", "1 deleted",
    ]  # fmt: skip
    (cats / "2.jpg").write_bytes(b"2")
    pawsort.follow()
    assert caplog.messages[-1].endswith(": 1 came back")
