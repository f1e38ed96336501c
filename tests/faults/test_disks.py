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
from tests.support.fault_site import Site
from tests.support.forked_worker import Nursery
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
def test_a_small_disk_in_trouble_under_the_folders(tmp_path: Path, nursery: Nursery, trouble: str) -> None:
    options, make, words = TROUBLES[trouble]
    with injection.tmpfs(tmp_path / "sorted", options), Site(tmp_path, nursery) as site:
        site.start()
        site.wait_until_watching()
        with make(site.settings.sorted):
            site.drop("a.jpg", b"<cat>" + bytes(20_000))
            site.wait_until_paused(words)
            assert len(site.log.splitlines()) < 20, "a trouble that stays does not fill the log"
        site.wait_until_filed()
        site.wait_until_watching()
        site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(65)
def test_a_full_disk_under_the_database(tmp_path: Path, nursery: Nursery) -> None:
    with injection.tmpfs(tmp_path / "state", "size=2m"), Site(tmp_path, nursery) as site:
        site.start()
        site.wait_until_watching()
        with injection.full(site.settings.state):
            for number in range(40):
                site.drop(f"{number}.jpg", b"%d<cat>" % number)
            site.wait_until_paused("disk is full")
            rows = site.rows("id")
            moved = len(site.injected) - len(files_below(*site.settings.inboxes))
            assert moved <= len(rows), "no file is moved without a row"
        site.wait_until_filed()
        site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(10)
def test_an_inbox_that_is_unmounted_and_mounted_again(tmp_path: Path, nursery: Nursery) -> None:
    image, inbox = tmp_path / "image", tmp_path / "inbox"
    with injection.ext4(image, inbox), Site(tmp_path, nursery) as site:
        (inbox / "lost+found").rmdir()
        site.start()
        site.wait_until_watching()
        site.drop("a.jpg", b"1<cat>")
        site.wait_until_filed()
        injection.unmount(inbox)
        site.wait(lambda: site.beat and "not mounted" in " ".join(site.beat.reasons), "the truth", 5.0)
        assert site.beat is not None
        assert site.beat.health == "red"
        assert len(site.rows("id", "state = 'filed'")) == 1, "a disk that is away deletes nothing"
        with injection.mounted_image(image, inbox):
            site.drop("b.jpg", b"2<cat>")
            site.wait_until_filed()
            site.ends_well()


@pytest.mark.fault(70)
@pytest.mark.parametrize("instead", ["nothing", "file", "link"])
def test_folders_that_are_taken_away_while_it_works(site: Site, tmp_path: Path, instead: str) -> None:
    site.start()
    site.wait_until_watching()
    away = site.settings.sorted.rename(tmp_path / "away")
    if instead == "file":
        site.settings.sorted.touch()
    elif instead == "link":
        site.settings.sorted.symlink_to("inbox")
    site.drop("a.jpg", b"<cat>")
    site.wait_until_paused("sorted")
    if instead != "nothing":
        site.settings.sorted.unlink()
    away.rename(site.settings.sorted)
    site.wait_until_filed()
    site.ends_well()


@pytest.mark.fault(70)
@pytest.mark.parametrize("instead", ["file", "dangling link"])
def test_folders_that_are_none_at_start_are_refused(site: Site, instead: str) -> None:
    site.drop("a.jpg", b"<cat>")
    if instead == "file":
        site.settings.sorted.touch()
    else:
        site.settings.sorted.symlink_to("nowhere")
    assert site.live() in (1, 2)
    assert "sorted" in site.log
    assert "Traceback" not in site.log
    site.settings.sorted.unlink()
    site.ends_well()


# --- rights -----------------------------------------------------------------------------------------------


@ROOT_ONLY
@pytest.mark.fault(71)
def test_a_file_that_may_not_be_read(shared_site: Site) -> None:
    site = shared_site
    secret = Path(os.fsdecode(site.drop("secret.jpg", b"<cat>")))
    secret.chmod(0)
    site.start(uid=UNPRIVILEGED)
    site.wait(lambda: "secret.jpg" in site.log, "a word about the file")
    site.drop("other.jpg", b"<dog>")
    site.wait_until_filed(1)
    assert secret.exists()
    assert site.log.count("secret.jpg") == 1
    os.chmod(secret, 0o644)
    site.wait_until_filed()
    site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(72)
def test_an_inbox_that_may_not_be_changed(shared_site: Site) -> None:
    site = shared_site
    site.drop("closed/a.jpg", b"<cat>")
    folder = site.inbox / "closed"
    with injection.mode(folder, 0o555):
        site.start(uid=UNPRIVILEGED)
        site.wait(lambda: "cannot take" in site.log, "a word about the file")
        site.drop("b.jpg", b"<dog>")
        site.wait_until_filed(1)
        site.wait(lambda: site.beat and site.beat.health == "degraded", "the truth", TRUTH_SECONDS)
        assert len(site.rows("id")) == 1
        assert site.log.count("cannot take") == 1
        assert not [path for path in files_below(site.settings.spool) if b"pawsort" in path]
    os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
    site.wait_until_filed()
    site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(72)
def test_a_folder_that_may_not_be_written(shared_site: Site) -> None:
    site = shared_site
    site.start(uid=UNPRIVILEGED)
    site.wait_until_watching()
    with injection.mode(site.settings.sorted / "cats", 0o555):
        site.drop("a.jpg", b"<cat>")
        site.drop("b.jpg", b"<dog>")
        site.wait_until_filed(1)
        site.wait(lambda: "cats: files cannot be filed" in _reasons(site), "the truth", TRUTH_SECONDS)
        assert site.beat is not None
        assert (site.beat.health, site.beat.state) == ("red", "watching")
        assert len(site.rows("id")) == 2
    site.wait_until_filed()
    site.wait(lambda: not _reasons(site), "good health", TRUTH_SECONDS)
    site.ends_well()


def _reasons(site: Site) -> str:
    return "; ".join(site.beat.reasons) if site.beat else ""


@ROOT_ONLY
@pytest.mark.fault(73)
def test_a_file_that_not_even_root_may_move(site: Site) -> None:
    path = os.fsdecode(site.drop("a.jpg", b"<cat>"))
    site.drop("b.jpg", b"<dog>")
    with injection.immutable(path):
        site.start()
        site.wait(lambda: "cannot take" in site.log, "a word about the file")
        site.wait_until_filed(1)
        assert os.path.exists(path)
        assert len(site.rows("id")) == 1
        assert site.log.count("cannot take") == 1
    site.wait_until_filed()
    site.ends_well()


@pytest.mark.fault(75)
def test_too_few_descriptors_lose_no_file(site: Site) -> None:
    for number in range(60):
        site.drop(f"{number % 7}/{number % 5}/{number}.jpg", b"%d<cat>" % number)
    for most in (14, 18, 22, 26, 30):
        life = site.start(nofile=most)
        with contextlib.suppress(TimeoutError):
            life.wait(0.6)
        life.kill()
    assert "Traceback" not in site.log, site.log
    site.ends_well()


@pytest.mark.fault(75)
def test_no_descriptor_is_leaked(site: Site) -> None:
    life = site.start()
    counts = []
    for round in range(3):
        for number in range(60):
            site.drop(f"{round}/{number}.jpg", b"%d %d<cat>" % (round, number))
        site.wait_until_filed()
        counts.append(len(os.listdir(f"/proc/{life.pid}/fd")))
    assert max(counts) - counts[0] <= 3, counts
    site.ends_well()


# --- file systems -----------------------------------------------------------------------------------------


@ROOT_ONLY
@pytest.mark.fault(69)
def test_a_bind_mount_is_filed_into_by_copy(tmp_path: Path, nursery: Nursery) -> None:
    with injection.bind(tmp_path / "elsewhere", tmp_path / "sorted"), Site(tmp_path, nursery) as site:
        for number in range(5):
            site.drop(f"{number}.jpg", b"%d<cat>" % number)
        assert site.live() == 0
        assert "on another file system" in site.log
        site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(62)
def test_a_power_cut_loses_nothing_that_was_accepted(tmp_path: Path, nursery: Nursery) -> None:
    chance = random.Random(62)
    for number in range(2):
        place = tmp_path / str(number)
        place.mkdir()
        power_cut(place, nursery, chance.uniform(0.0, 0.4))


@STRACED
@pytest.mark.fault(63)
def test_what_is_renamed_is_synced_before_the_commit_that_relies_on_it(site: Site) -> None:
    site.drop("a.jpg", b"<cat>")
    output = site.folder / "trace"
    life = site.start(once=True, held=True)
    with Tracer(life, ("renameat2", "fsync", "fdatasync"), output=output):
        assert life.wait() == 0
    lines = output.read_text().splitlines()
    for folder, name in (("spool", "/spool/1-"), ("sorted/cats", "/cats/a.jpg")):
        renamed = next(
            n for n, line in enumerate(lines) if "renameat2" in line and name in line.split(",")[3]
        )
        after = lines[renamed:]
        synced = next(n for n, line in enumerate(after) if re.search(rf"fsync\(\d+<[^>]*/{folder}>", line))
        committed = next(n for n, line in enumerate(after) if "pawsort.db-wal" in line)
        assert synced < committed, after[: committed + 1]
    site.ends_well()


# --- signals ----------------------------------------------------------------------------------------------


@pytest.mark.fault(60)
def test_a_signal_at_any_moment_ends_it_in_time(site: Site) -> None:
    chance = random.Random(60)
    for number in range(6):
        for copy in range(10):
            site.drop(f"{number}-{copy}.jpg", b"%d %d<cat>" % (number, copy))
        life = site.start(delay=0.05)
        pid = life.pid
        site.wait(lambda pid=pid: site.beat and site.beat.pid == pid, "a sign of life")
        time.sleep(chance.uniform(0.0, 0.3))
        life.signal(signal.SIGTERM)
        assert life.wait(10.0) == 128 + signal.SIGTERM
    site.ends_well()


@pytest.mark.fault(61)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_too(site: Site, number: int) -> None:
    site.drop("a.jpg", b"<cat>")
    life = site.start()
    site.wait_until_watching()
    life.signal(number)
    assert life.wait(10.0) == 128 + number
    site.ends_well()


@pytest.mark.fault(61)
def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    site.drop("slow.jpg", b"<cat>")
    life = site.start(delay=3600.0)
    site.wait(lambda: site.rows("id", "state = 'decoding'"), "the stub to have the file")
    life.signal(signal.SIGTERM)
    site.wait(lambda: "once more" in site.log, "a word about it")
    began = time.monotonic()
    life.signal(signal.SIGTERM)
    assert life.wait(10.0) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 2.0
    site.ends_well()


@pytest.mark.fault(76, 77)
def test_a_second_worker_is_refused_until_the_first_is_killed(site: Site) -> None:
    first = site.start()
    site.wait_until_watching()
    assert site.live() == 5
    assert f"process {first.pid}" in site.log
    first.kill()
    site.lives.clear()
    site.ends_well()
