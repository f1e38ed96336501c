"""Events or polling: which of them a folder allows."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.watch import inotify, mounts
from pipeline.watch import mode as watcher
from tests.pipeline.watch.conftest import Make, names


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


def test_the_reason_for_polling_is_in_words(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), b".pawsort-probe")

    monkeypatch.setattr(watcher.InboxWatcher, "_probe", refuse)
    assert make("auto").status().note == "polling: Read-only file system: '.pawsort-probe'"


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
        "from pipeline.settings.sections import WatchSettings\nfrom pipeline.watch.inbox import Inbox\n"
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
