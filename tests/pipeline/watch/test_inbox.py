"""Files arrive: real folders, real events, and a clock of our own where no event is waited for."""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from pipeline.config import WatchSettings
from pipeline.watch import inotify, mounts, scanner
from pipeline.watch import mode as watcher
from pipeline.watch.inbox import Inbox, SettledFile

QUIET = 0.05
Make = Callable[..., Inbox]


class Clock:
    """A clock that stands until it is pushed."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    made = []

    def make(mode: Literal["auto", "native", "polling"] = "native", **options: object) -> Inbox:
        settings = {"settle_seconds": QUIET, "rescan_seconds": 3600.0}
        settings |= {name: options.pop(name) for name in list(options) if name in WatchSettings.model_fields}
        inbox = Inbox(folder, WatchSettings(mode=mode, **settings), **options)  # type: ignore[arg-type]
        made.append(inbox)
        inbox.start()
        return inbox

    yield make
    for inbox in made:
        inbox.stop()


def collect(inbox: Inbox, count: int, seconds: float = 5.0) -> list[SettledFile]:
    """Poll as the worker does until so many files have come, claiming each by taking it away."""
    arrivals: list[SettledFile] = []
    end = time.monotonic() + seconds
    while len(arrivals) < count and time.monotonic() < end:
        for arrival in inbox.poll():
            arrivals.append(arrival)
            os.unlink(os.path.join(os.fsencode(arrival.inbox), arrival.source))
            inbox.forget(arrival)
        time.sleep(0.005)
    return arrivals


def names(inbox: Inbox, count: int, seconds: float = 5.0) -> set[bytes]:
    return {arrival.source for arrival in collect(inbox, count, seconds)}


def stepping(make: Make, **options: object) -> tuple[Inbox, Clock]:
    clock = Clock()
    return make("polling", clock=clock, settle_seconds=2.0, rescan_seconds=60.0, **options), clock


# Scans, with a clock of our own


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
def test_what_is_no_regular_file_is_left_alone_and_said_once(
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


# Events


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


@pytest.mark.fault(9)
def test_an_inbox_that_is_replaced_is_watched_anew_and_nothing_taken_from_the_old(
    make: Make, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make()
    (folder / "old.jpg").touch()
    inbox.poll()
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    (tmp_path / "elsewhere" / "late.jpg").touch()
    (folder / "new.jpg").touch()
    assert names(inbox, 2, 0.4) == {b"new.jpg"}
    (folder / "newer.jpg").touch()
    assert names(inbox, 1) == {b"newer.jpg"}
    assert "another folder" in caplog.text


@pytest.mark.fault(8, 10)
def test_an_inbox_that_is_gone_is_loud_once_and_waited_for(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = make()
    inbox.poll()
    folder.rmdir()
    for _ in range(5):
        assert inbox.poll() == []
    assert inbox.status().state == "missing"
    assert inbox.status().degraded
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    folder.mkdir()
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}
    assert inbox.status().state == "watching"


@pytest.mark.fault(10)
def test_the_folder_under_an_unmounted_disk_is_not_taken_for_the_inbox(
    make: Make, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: not os.path.exists(os.path.join(path, b"bare")))
    inbox = make()
    inbox.poll()
    disk = folder.rename(tmp_path / "disk")
    folder.mkdir()
    (folder / "bare").touch()
    assert collect(inbox, 1, 0.1) == []
    assert inbox.status().state == "missing"
    assert "not mounted" in inbox.status().note
    (folder / "bare").unlink()
    folder.rmdir()
    disk.rename(folder)
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}


def test_an_inbox_that_is_not_there_at_the_start_is_waited_for(make: Make, folder: Path) -> None:
    folder.rmdir()
    inbox = make()
    assert inbox.status().state == "missing"
    folder.mkdir()
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}


# Which mode


def test_auto_watches_where_events_come_back_and_leaves_no_probe(make: Make, folder: Path) -> None:
    inbox = make("auto")
    assert inbox.status().state == "watching"
    assert list(folder.iterdir()) == []


def test_a_probe_file_of_a_killed_worker_is_removed_from_the_inbox(make: Make, folder: Path) -> None:
    (folder / ".pawsort-probe").touch()
    assert make("auto").status().state == "watching"
    assert list(folder.iterdir()) == []


@pytest.mark.fault(22)
def test_auto_polls_where_no_event_comes_back_and_says_so(
    make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inotify.InotifyWatch, "on_event", lambda *_: None)
    monkeypatch.setattr(watcher, "PROBE_SECONDS", 0.05)
    inbox = make("auto")
    status = inbox.status()
    assert (status.state, status.degraded) == ("polling", True)
    assert "probe" in status.note
    assert "probe" in caplog.text
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}
    assert list(folder.iterdir()) == []


def test_auto_polls_a_network_share_though_its_own_probe_would_answer(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "remote_kind", lambda path: "nfs4")
    status = make("auto").status()
    assert (status.state, status.degraded) == ("polling", False)
    assert "nfs4" in status.note


def test_a_local_folder_is_no_network_share(folder: Path) -> None:
    assert mounts.remote_kind(os.fsencode(folder)) is None
    assert mounts._REMOTE.fullmatch("fuse.sshfs")
    assert not mounts._REMOTE.fullmatch("fuseblk")


@pytest.mark.parametrize(
    ("number", "sysctl"),
    [(errno.EMFILE, "fs.inotify.max_user_instances"), (errno.ENOSPC, "fs.inotify.max_user_watches")],
)
@pytest.mark.fault(5, 6)
def test_a_limit_of_inotify_is_named_and_polling_takes_over(
    number: int,
    sysctl: str,
    make: Make,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "limit reached")

    method = "_create_inotify_fd" if number == errno.EMFILE else "add_callback"
    monkeypatch.setattr(inotify.InotifyFD, method, refuse)
    inbox = make()
    inbox.poll()
    status = inbox.status()
    assert (status.state, status.degraded) == ("polling", True)
    assert sysctl in status.note
    assert sysctl in caplog.text
    (folder / "cat.jpg").touch()
    assert names(inbox, 1) == {b"cat.jpg"}


@pytest.mark.fault(6)
def test_the_kernels_own_limit_of_watches_is_met_in_nested_folders(folder: Path) -> None:
    for number in range(20):
        (folder / str(number)).mkdir()
    script = (
        "import sys\nfrom pathlib import Path\n"
        "open('/proc/sys/user/max_inotify_watches', 'w').write('5')\n"
        "from pipeline.config import WatchSettings\nfrom pipeline.watch.inbox import Inbox\n"
        "inbox = Inbox(Path(sys.argv[1]), WatchSettings(mode='native'))\n"
        "inbox.start(); inbox.poll(); print(inbox.status().note); inbox.stop()\n"
    )
    command = ["unshare", "-Ur", sys.executable, "-c", script, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "PermissionError" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr[-80:]}")
    assert "fs.inotify.max_user_watches" in done.stdout, done.stderr
