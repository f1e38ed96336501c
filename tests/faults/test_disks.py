"""Crashes, disks and rights: a real worker in a world that refuses."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults import injection
from tests.faults.injection import ROOT_ONLY, UNPRIVILEGED
from tests.faults.sweep import power_cut
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.oracle import files_below
from tests.support.strace import STRACE, Tracer

pytestmark = pytest.mark.timeout(300)
STRACED = pytest.mark.skipif(STRACE is None, reason="strace is not here")
TRUTH_SECONDS = 5.0


# --- a bad world, while it works ------------------------------------------------------------------------


TROUBLES = {
    "full": ("size=1m", injection.full, "No space left"),
    "no inode": ("size=1m,nr_inodes=40", injection.no_inode, "No space left"),
    "read-only": ("size=1m", injection.read_only, "Read-only"),
}


@ROOT_ONLY
@pytest.mark.fault(64, 66, 68, 74)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_small_disk_in_trouble_under_the_folders(
    tmp_path: Path, fork_server: ForkServer, trouble: str
) -> None:
    options, make, words = TROUBLES[trouble]
    with injection.tmpfs(tmp_path / "sorted", options), ForkedInstallation(tmp_path, fork_server) as pawsort:
        pawsort.start()
        pawsort.wait_until_watching()
        with make(pawsort.settings.sorted):
            pawsort.drop("a.jpg", b"<cat>" + bytes(20_000))
            pawsort.wait_until_paused(words)
            assert len(pawsort.log.splitlines()) < 20, "a trouble that stays does not fill the log"
        pawsort.wait_until_filed()
        pawsort.wait_until_watching()
        pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(65)
def test_a_full_disk_under_the_database(tmp_path: Path, fork_server: ForkServer) -> None:
    with injection.tmpfs(tmp_path / "state", "size=2m"), ForkedInstallation(tmp_path, fork_server) as pawsort:
        pawsort.start()
        pawsort.wait_until_watching()
        with injection.full(pawsort.settings.state):
            for number in range(40):
                pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
            pawsort.wait_until_paused("disk is full")
            rows = pawsort.rows("id")
            moved = len(pawsort.injected) - len(files_below(*pawsort.settings.inboxes))
            assert moved <= len(rows), "no file is moved without a row"
        pawsort.wait_until_filed()
        pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(10)
def test_an_inbox_that_is_unmounted_and_mounted_again(tmp_path: Path, fork_server: ForkServer) -> None:
    image, inbox = tmp_path / "image", tmp_path / "inbox"
    with injection.ext4(image, inbox), ForkedInstallation(tmp_path, fork_server) as pawsort:
        (inbox / "lost+found").rmdir()
        pawsort.start()
        pawsort.wait_until_watching()
        pawsort.drop("a.jpg", b"1<cat>")
        pawsort.wait_until_filed()
        injection.unmount(inbox)
        pawsort.wait(
            lambda: pawsort.beat and "not mounted" in " ".join(pawsort.beat.reasons), "the truth", 5.0
        )
        assert pawsort.beat is not None
        assert pawsort.beat.health == "red"
        assert len(pawsort.rows("id", "state = 'filed'")) == 1, "a disk that is away deletes nothing"
        with injection.mounted_image(image, inbox):
            pawsort.drop("b.jpg", b"2<cat>")
            pawsort.wait_until_filed()
            pawsort.ends_well()


@pytest.mark.fault(70)
@pytest.mark.parametrize("instead", ["nothing", "file", "link"])
def test_folders_that_are_taken_away_while_it_works(
    pawsort: ForkedInstallation, tmp_path: Path, instead: str
) -> None:
    pawsort.start()
    pawsort.wait_until_watching()
    away = pawsort.settings.sorted.rename(tmp_path / "away")
    if instead == "file":
        pawsort.settings.sorted.touch()
    elif instead == "link":
        pawsort.settings.sorted.symlink_to("inbox")
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.wait_until_paused("sorted")
    if instead != "nothing":
        pawsort.settings.sorted.unlink()
    away.rename(pawsort.settings.sorted)
    pawsort.wait_until_filed()
    pawsort.ends_well()


@pytest.mark.fault(70)
@pytest.mark.parametrize("instead", ["file", "dangling link"])
def test_folders_that_are_none_at_start_are_refused(pawsort: ForkedInstallation, instead: str) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    if instead == "file":
        pawsort.settings.sorted.touch()
    else:
        pawsort.settings.sorted.symlink_to("nowhere")
    assert pawsort.run_once() in (1, 2)
    assert "sorted" in pawsort.log
    assert "Traceback" not in pawsort.log
    pawsort.settings.sorted.unlink()
    pawsort.ends_well()


# --- rights -----------------------------------------------------------------------------------------------


@ROOT_ONLY
@pytest.mark.fault(71)
def test_a_file_that_may_not_be_read(unprivileged: ForkedInstallation) -> None:
    pawsort = unprivileged
    secret = Path(os.fsdecode(pawsort.drop("secret.jpg", b"<cat>")))
    secret.chmod(0)
    pawsort.start(uid=UNPRIVILEGED)
    pawsort.wait(lambda: "secret.jpg" in pawsort.log, "a word about the file")
    pawsort.drop("other.jpg", b"<dog>")
    pawsort.wait_until_filed(1)
    assert secret.exists()
    assert pawsort.log.count("secret.jpg") == 1
    os.chmod(secret, 0o644)
    pawsort.wait_until_filed()
    pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(72)
def test_an_inbox_that_may_not_be_changed(unprivileged: ForkedInstallation) -> None:
    pawsort = unprivileged
    pawsort.drop("closed/a.jpg", b"<cat>")
    folder = pawsort.inbox / "closed"
    with injection.mode(folder, 0o555):
        pawsort.start(uid=UNPRIVILEGED)
        pawsort.wait(lambda: "cannot take" in pawsort.log, "a word about the file")
        pawsort.drop("b.jpg", b"<dog>")
        pawsort.wait_until_filed(1)
        pawsort.wait(lambda: pawsort.beat and pawsort.beat.health == "degraded", "the truth", TRUTH_SECONDS)
        assert len(pawsort.rows("id")) == 1
        assert pawsort.log.count("cannot take") == 1
        assert not [path for path in files_below(pawsort.settings.spool) if b"pawsort" in path]
    os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
    pawsort.wait_until_filed()
    pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(72)
def test_a_folder_that_may_not_be_written(unprivileged: ForkedInstallation) -> None:
    pawsort = unprivileged
    pawsort.start(uid=UNPRIVILEGED)
    pawsort.wait_until_watching()
    with injection.mode(pawsort.settings.sorted / "cats", 0o555):
        pawsort.drop("a.jpg", b"<cat>")
        pawsort.drop("b.jpg", b"<dog>")
        pawsort.wait_until_filed(1)
        pawsort.wait(lambda: "cats: files cannot be filed" in _reasons(pawsort), "the truth", TRUTH_SECONDS)
        assert pawsort.beat is not None
        assert (pawsort.beat.health, pawsort.beat.state) == ("red", "watching")
        assert len(pawsort.rows("id")) == 2
    pawsort.wait_until_filed()
    pawsort.wait(lambda: not _reasons(pawsort), "good health", TRUTH_SECONDS)
    pawsort.ends_well()


def _reasons(pawsort: ForkedInstallation) -> str:
    return "; ".join(pawsort.beat.reasons) if pawsort.beat else ""


@ROOT_ONLY
@pytest.mark.fault(73)
def test_a_file_that_not_even_root_may_move(pawsort: ForkedInstallation) -> None:
    path = os.fsdecode(pawsort.drop("a.jpg", b"<cat>"))
    pawsort.drop("b.jpg", b"<dog>")
    with injection.immutable(path):
        pawsort.start()
        pawsort.wait(lambda: "cannot take" in pawsort.log, "a word about the file")
        pawsort.wait_until_filed(1)
        assert os.path.exists(path)
        assert len(pawsort.rows("id")) == 1
        assert pawsort.log.count("cannot take") == 1
    pawsort.wait_until_filed()
    pawsort.ends_well()


@pytest.mark.fault(75)
def test_too_few_descriptors_lose_no_file(pawsort: ForkedInstallation) -> None:
    for number in range(60):
        pawsort.drop(f"{number % 7}/{number % 5}/{number}.jpg", b"%d<cat>" % number)
    for most in (14, 18, 22, 26, 30):
        worker = pawsort.start(nofile=most)
        with contextlib.suppress(TimeoutError):
            worker.wait(0.6)
        worker.kill()
    assert "Traceback" not in pawsort.log, pawsort.log
    pawsort.ends_well()


@pytest.mark.fault(75)
def test_no_descriptor_is_leaked(pawsort: ForkedInstallation) -> None:
    worker = pawsort.start()
    counts = []
    for round in range(3):
        for number in range(60):
            pawsort.drop(f"{round}/{number}.jpg", b"%d %d<cat>" % (round, number))
        pawsort.wait_until_filed()
        counts.append(len(os.listdir(f"/proc/{worker.pid}/fd")))
    assert max(counts) - counts[0] <= 3, counts
    pawsort.ends_well()


# --- file systems -----------------------------------------------------------------------------------------


@ROOT_ONLY
@pytest.mark.fault(69)
def test_a_bind_mount_is_filed_into_by_copy(tmp_path: Path, fork_server: ForkServer) -> None:
    with (
        injection.bind(tmp_path / "elsewhere", tmp_path / "sorted"),
        ForkedInstallation(tmp_path, fork_server) as pawsort,
    ):
        for number in range(5):
            pawsort.drop(f"{number}.jpg", b"%d<cat>" % number)
        assert pawsort.run_once() == 0
        assert "on another file system" in pawsort.log
        pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(62)
def test_a_power_cut_loses_nothing_that_was_accepted(tmp_path: Path, fork_server: ForkServer) -> None:
    chance = random.Random(62)
    for number in range(2):
        place = tmp_path / str(number)
        place.mkdir()
        power_cut(place, fork_server, chance.uniform(0.0, 0.4))


@STRACED
@pytest.mark.fault(63)
def test_what_is_renamed_is_synced_before_the_commit_that_relies_on_it(pawsort: ForkedInstallation) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    output = pawsort.folder / "trace"
    worker = pawsort.start(once=True, held=True)
    with Tracer(worker, ("renameat2", "fsync", "fdatasync"), output=output):
        assert worker.wait() == 0
    lines = output.read_text().splitlines()
    for folder, name in (("spool", "/spool/1-"), ("sorted/cats", "/cats/a.jpg")):
        renamed = next(
            n for n, line in enumerate(lines) if "renameat2" in line and name in line.split(",")[3]
        )
        after = lines[renamed:]
        synced = next(n for n, line in enumerate(after) if re.search(rf"fsync\(\d+<[^>]*/{folder}>", line))
        committed = next(n for n, line in enumerate(after) if "pawsort.db-wal" in line)
        assert synced < committed, after[: committed + 1]
    pawsort.ends_well()


# --- signals ----------------------------------------------------------------------------------------------


@pytest.mark.fault(60)
def test_a_signal_at_any_moment_ends_it_in_time(pawsort: ForkedInstallation) -> None:
    chance = random.Random(60)
    for number in range(6):
        for copy in range(10):
            pawsort.drop(f"{number}-{copy}.jpg", b"%d %d<cat>" % (number, copy))
        worker = pawsort.start(delay=0.05)
        pid = worker.pid
        pawsort.wait(lambda pid=pid: pawsort.beat and pawsort.beat.pid == pid, "a sign of life")
        time.sleep(chance.uniform(0.0, 0.3))
        worker.signal(signal.SIGTERM)
        assert worker.wait(10.0) == 128 + signal.SIGTERM
    pawsort.ends_well()


@pytest.mark.fault(61)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_too(pawsort: ForkedInstallation, number: int) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.start()
    pawsort.wait_until_watching()
    worker.signal(number)
    assert worker.wait(10.0) == 128 + number
    pawsort.ends_well()


@pytest.mark.fault(61)
def test_a_second_signal_ends_it_at_once(pawsort: ForkedInstallation) -> None:
    pawsort.drop("slow.jpg", b"<cat>")
    worker = pawsort.start(delay=3600.0)
    pawsort.wait(lambda: pawsort.rows("id", "state = 'decoding'"), "the stub to have the file")
    worker.signal(signal.SIGTERM)
    pawsort.wait(lambda: "once more" in pawsort.log, "a word about it")
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(10.0) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 2.0
    pawsort.ends_well()


@pytest.mark.fault(76, 77)
def test_a_second_worker_is_refused_until_the_first_is_killed(pawsort: ForkedInstallation) -> None:
    first = pawsort.start()
    pawsort.wait_until_watching()
    assert pawsort.run_once() == 5
    assert f"process {first.pid}" in pawsort.log
    first.kill()
    pawsort.workers.clear()
    pawsort.ends_well()
