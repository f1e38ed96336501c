"""Files arrive: real folders, real events, and a clock of our own where no event is waited for."""

from __future__ import annotations

import errno
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.watch import scanner
from pipeline.watch.inbox import SettledFile
from tests.pipeline.watch.conftest import Clock, Make, stepping


@pytest.mark.fault(3, 27)
def test_files_that_are_there_at_the_start_arrive_from_any_depth(make: Make, folder: Path) -> None:
    (folder / "a" / "b" / "c").mkdir(parents=True)
    for path in ("1.jpg", "a/2.jpg", "a/b/c/3.jpg"):
        (folder / path).touch()
    (folder / "empty.jpg").mkdir()
    inbox, clock = stepping(make)
    assert inbox.poll() == []
    clock.now += 2.0
    assert {arrival.source for arrival in inbox.poll()} == {b"1.jpg", b"a/2.jpg", b"a/b/c/3.jpg"}
    assert inbox.poll() == [], "handed out once"


def test_an_inbox_in_which_nothing_happens_is_not_opened(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, clock = stepping(make)
    inbox.poll()
    monkeypatch.setattr(os, "open", lambda *_, **__: pytest.fail("opened"))
    for _ in range(10):
        clock.now += 0.1
        assert inbox.poll() == []


def test_files_that_are_due_wait_where_the_inbox_cannot_be_opened_for_a_moment(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (folder / f"{number}.jpg").touch()
    inbox, clock = stepping(make)
    inbox.poll()
    clock.now += 2.0

    def refusing(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        assert inbox.poll() == []
    assert len(inbox.poll()) == 5


def test_an_arrival_says_what_was_seen_and_when_first(make: Make, folder: Path) -> None:
    path = folder / "cat.jpg"
    path.write_bytes(b"cat")
    os.utime(path, ns=(5, 4_102_444_800 * 10**9))
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    inbox, clock = stepping(make, wall=lambda: noon)
    inbox.poll()
    clock.now += 7.0
    status = path.stat()
    assert inbox.poll() == [
        SettledFile(
            str(folder),
            b"cat.jpg",
            status.st_dev,
            status.st_ino,
            3,
            4_102_444_800 * 10**9,
            noon - timedelta(seconds=7),
        )
    ]


@pytest.mark.fault(11)
def test_a_file_that_grows_without_any_event_is_waited_for(make: Make, folder: Path) -> None:
    inbox, clock = stepping(make)
    with open(folder / "slow.jpg", "wb", buffering=0) as file:
        for _ in range(10):
            file.write(b"more")
            assert inbox.poll() == []
            clock.now += 2.0
    assert [arrival.bytes for arrival in inbox.poll()] == [40]


@pytest.mark.fault(33, 34, 35, 36)
def test_names_of_any_bytes_arrive(make: Make, folder: Path) -> None:
    wild = [b"\xff\xfe.jpg", b"new\nline.jpg", b"-rf.jpg", b"br[1]*.jpg", b"x" * 255]
    for name in wild:
        os.close(os.open(os.path.join(os.fsencode(folder), name), os.O_CREAT))
    inbox, clock = stepping(make)
    inbox.poll()
    clock.now += 2.0
    assert {arrival.source for arrival in inbox.poll()} == set(wild)


@pytest.mark.fault(24, 25, 26, 29)
def test_an_entry_that_is_not_a_regular_file_is_skipped_and_logged_once(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "link.jpg").symlink_to("/etc/passwd")
    (folder / "outside").symlink_to("/etc")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo.jpg")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
    inbox, clock = stepping(make)
    for _ in range(5):
        assert inbox.poll() == []
        clock.now += 3.0
    said = [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]
    assert len(said) == 5
    assert {entry.name for entry in folder.iterdir()} == {
        "link.jpg",
        "outside",
        "loop",
        "fifo.jpg",
        "socket.jpg",
    }
    assert inbox.status().odd == 5


@pytest.mark.fault(21)
def test_temporary_names_wait_for_their_final_name(make: Make, folder: Path) -> None:
    (folder / "@eaDir" / "cat.jpg").mkdir(parents=True)
    (folder / "@eaDir" / "cat.jpg" / "thumb.jpg").touch()
    (folder / "skip").mkdir()
    (folder / "skip" / "me.jpg").touch()
    (folder / "cat.jpg.part").touch()
    inbox, clock = stepping(make, ignore=("skip",))
    inbox.poll()
    clock.now += 2.0
    assert inbox.poll() == []
    (folder / "cat.jpg.part").rename(folder / "cat.jpg")
    clock.now += 2.0
    inbox.poll()
    clock.now += 2.0
    assert [arrival.source for arrival in inbox.poll()] == [b"cat.jpg"]


@pytest.mark.fault(71)
def test_a_file_that_cannot_be_had_is_reported_once_and_offered_again(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "locked.jpg").touch()
    inbox, clock = stepping(make)
    offers = 0
    for _ in range(200):
        for arrival in inbox.poll():
            offers += 1
            inbox.postpone(arrival, "permission denied")
        clock.now += 1.0
    assert 5 <= offers <= 10
    assert caplog.text.count("permission denied") == 1


def test_more_files_than_can_be_tracked_all_arrive(make: Make, folder: Path) -> None:
    for number in range(250):
        (folder / f"{number}.jpg").touch()
    inbox, clock = stepping(make, capacity=10)
    found: set[bytes] = set()
    for _ in range(200):
        for arrival in inbox.poll():
            found.add(arrival.source)
            (folder / os.fsdecode(arrival.source)).unlink()
            inbox.forget(arrival)
        assert inbox.status().settling <= 10
        clock.now += 1.0
    assert len(found) == 250


def test_a_poll_stops_in_the_middle_of_a_scan(make: Make, folder: Path) -> None:
    for number in range(200):
        (folder / f"{number}.jpg").touch()
    ticking = Clock()

    def clock() -> float:
        ticking.now += 0.001
        return ticking.now

    inbox = make("polling", clock=clock, settle_seconds=1000.0)
    inbox.poll()
    assert 0 < inbox.status().settling < 100
    for _ in range(10):
        inbox.poll()
    assert inbox.status().settling == 200


def test_the_next_scan_comes_after_a_while_and_not_before(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, clock = stepping(make)
    inbox.poll()
    inbox.poll()
    assert inbox.status().scans == 1
    clock.now += 2.0
    inbox.poll()
    assert inbox.status().scans == 2


def test_a_scan_leaves_no_descriptor_open(make: Make, folder: Path) -> None:
    for number in range(20):
        (folder / f"{number}" / "deep").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    inbox, clock = stepping(make)
    for _ in range(5):
        inbox.poll()
        clock.now += 2.0
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_may_not_be_read_is_said_once_and_the_rest_arrives(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "closed").mkdir()
    (folder / "cat.jpg").touch()
    honest = scanner.open_folder

    def refusing(inbox: bytes, relative: bytes) -> int:  # root may read everything, so chmod would not do
        if relative == b"closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return honest(inbox, relative)

    monkeypatch.setattr(scanner, "open_folder", refusing)
    inbox, clock = stepping(make)
    for _ in range(4):
        inbox.poll()
        clock.now += 1.0
    assert caplog.text.count("Permission denied") == 1
    assert inbox.status().resting == 1
