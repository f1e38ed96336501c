"""Files arrive through events, and no lost event loses one."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from pipeline.watch import inotify
from pipeline.watch import mode as watcher
from tests.pipeline.watch.conftest import Clock, Make, collect, names


@pytest.mark.fault(13, 14, 15)
def test_what_is_written_moved_or_linked_in_arrives_through_events(
    make: Make, folder: Path, tmp_path: Path
) -> None:
    inbox = make()
    collect(inbox, 1, 0.05)
    (tmp_path / "outside.jpg").write_bytes(b"1")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "moved.jpg").write_bytes(b"2")
    (folder / "written.jpg").write_bytes(b"3")
    os.link(tmp_path / "outside.jpg", folder / "linked.jpg")
    os.rename(tmp_path / "outside.jpg", folder / "renamed.jpg")
    os.rename(tmp_path / "tree", folder / "tree")
    (folder / "new" / "newer").mkdir(parents=True)
    (folder / "new" / "newer" / "made.jpg").write_bytes(b"4")
    wanted = {b"written.jpg", b"linked.jpg", b"renamed.jpg", b"tree/deep/moved.jpg", b"new/newer/made.jpg"}
    assert names(inbox, 5) == wanted
    (folder / "tree" / "deep" / "later.jpg").touch()
    assert names(inbox, 1) == {b"tree/deep/later.jpg"}
    assert inbox.status().scans == 1


@pytest.mark.fault(11)
def test_a_file_that_grew_since_its_last_event_is_checked_again_before_poll_returns_it(
    make: Make, folder: Path
) -> None:
    clock = Clock()
    inbox = make(clock=clock, settle_seconds=2.0)
    with open(folder / "slow.jpg", "wb", buffering=0) as file:
        while not inbox.status().settling:
            inbox.poll()
        file.write(b"more")
        clock.now += 2.0
        assert inbox.poll() == []
        clock.now += 2.0
        assert [arrival.bytes for arrival in inbox.poll()] == [4]


def test_more_events_than_can_be_tracked_all_arrive(make: Make, folder: Path) -> None:
    inbox = make(capacity=5)
    collect(inbox, 1, 0.05)
    for number in range(50):
        (folder / f"{number}.jpg").touch()
    assert len(names(inbox, 50)) == 50


@pytest.mark.fault(21)
def test_an_event_for_a_temporary_name_is_ignored_and_the_final_name_is_not(make: Make, folder: Path) -> None:
    inbox = make()
    collect(inbox, 1, 0.05)
    (folder / ".stfolder").mkdir()
    (folder / ".stfolder" / "marker.jpg").touch()
    (folder / "cat.jpg.part").touch()
    assert collect(inbox, 1, 0.2) == []
    (folder / "cat.jpg.part").rename(folder / "cat.jpg")
    assert names(inbox, 1) == {b"cat.jpg"}


def test_a_folder_renamed_within_the_inbox_is_known_by_its_new_name(make: Make, folder: Path) -> None:
    (folder / "old").mkdir()
    inbox = make()
    collect(inbox, 1, 0.05)
    (folder / "old").rename(folder / "new")
    collect(inbox, 1, 0.05)
    (folder / "new" / "cat.jpg").touch()
    assert names(inbox, 1) == {b"new/cat.jpg"}


@pytest.mark.fault(4)
def test_the_watch_comes_before_the_scan_so_that_nothing_falls_in_between(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = inotify.InotifyWatch.cover

    def cover(self: inotify.InotifyWatch, fd: int, path: bytes) -> None:
        (folder / "between.jpg").touch()  # no event tells, so only a scan that comes later can
        honest(self, fd, path)

    monkeypatch.setattr(inotify.InotifyWatch, "cover", cover)
    inbox = make()
    assert [arrival.source for arrival in collect(inbox, 2, 0.3)] == [b"between.jpg"]


@pytest.mark.fault(16)
def test_a_file_that_comes_and_goes_makes_no_noise(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make()
    for number in range(200):
        (folder / f"{number}.jpg").touch()
        (folder / f"{number}.jpg").unlink()
        if number % 20 == 0:
            assert inbox.poll() == []
    assert collect(inbox, 1, 0.15) == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.fault(2)
def test_a_burst_arrives_complete_though_events_overflow(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "PendingEvents", lambda: inotify.PendingEvents(capacity=10))
    inbox = make()
    collect(inbox, 1, 0.05)
    for number in range(500):
        (folder / f"{number}.jpg").touch()
    assert len(names(inbox, 500)) == 500
    assert inbox.status().lost_events >= 1


@pytest.mark.fault(1)
def test_an_overflow_in_the_kernel_starts_a_scan(make: Make, folder: Path) -> None:
    inbox = make()
    collect(inbox, 1, 0.05)
    watch = inbox._watcher._watch
    assert watch is not None
    watch._folders.clear()  # the watch can no longer map events to folders
    (folder / "unheard.jpg").touch()
    assert collect(inbox, 1, 0.2) == []
    watch._reader.handle_event(inotify.InotifyEvent(-1, inotify.InotifyConstants.IN_Q_OVERFLOW, 0, b""))
    assert names(inbox, 1) == {b"unheard.jpg"}
    assert inbox.status().lost_events == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.fault(7)
def test_a_handler_that_raises_is_replaced_and_nothing_is_lost(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = make()
    collect(inbox, 1, 0.05)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("handler")

        patch.setattr(inotify.InotifyWatch, "on_event", fail)
        (folder / "1.jpg").touch()
        while inbox._watcher.watching and not inbox._watcher.dead:
            time.sleep(0.005)
    (folder / "2.jpg").touch()
    assert names(inbox, 2) == {b"1.jpg", b"2.jpg"}
    (folder / "3.jpg").touch()
    assert names(inbox, 1) == {b"3.jpg"}
    assert inbox.status().state == "watching"
