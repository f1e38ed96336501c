"""Files arrive in every way but the simple one, at a real worker."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.injection import ROOT_ONLY, UNPRIVILEGED
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.oracle import digest, files_below, read

pytestmark = pytest.mark.timeout(300)
NATIVE = """
inboxes: [inbox, scans]
decision: {min_confidence: 0.9}
batch: {size: 64, wait_seconds: 0}
watch: {mode: native, settle_seconds: 0.2, rescan_seconds: 3600}
"""
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def native(tmp_path: Path, fork_server: ForkServer) -> Iterator[ForkedInstallation]:
    """An installation whose worker learns of files by events, and scans only when it has to."""
    with ForkedInstallation(tmp_path, fork_server, NATIVE) as pawsort:
        yield pawsort


@pytest.mark.fault(1)
@pytest.mark.skipif(not QUEUE.exists(), reason="the kernel does not tell how many events it keeps")
def test_an_overflow_in_the_kernel_is_counted_and_made_good(native: ForkedInstallation) -> None:
    most = int(QUEUE.read_text())
    if most > 50_000:
        pytest.skip(f"this kernel keeps {most} events, which takes too long to fill")
    worker = native.start()
    native.wait_until_watching()
    worker.signal(signal.SIGSTOP)
    # Twice as many as it keeps, since some are read before the signal stops the reader; two names in turn,
    # since the kernel merges equal events.
    for number in range(2 * most):
        os.close(os.open(native.inbox / f"{number % 2}.part", os.O_CREAT | os.O_WRONLY))
    for number in range(300):
        native.drop(f"{number}.jpg", b"%d<cat>" % number)
    for number in range(2):
        (native.inbox / f"{number}.part").unlink()
    worker.signal(signal.SIGCONT)
    native.wait(lambda: "events were lost" in native.log, "the overflow in the log", 5.0)
    native.wait_until_filed()
    native.wait(lambda: native.beat and sum(i.overflows for i in native.beat.inboxes) >= 1, "its count")
    native.ends_well()


@pytest.mark.fault(2)
def test_a_burst_while_it_works(native: ForkedInstallation) -> None:
    native.start()
    native.wait_until_watching()
    for number in range(400):
        native.drop(f"{number % 10}/{number}.jpg", b"%d<cat>" % number)
    native.wait_until_filed()
    native.ends_well()


@pytest.mark.fault(3, 23)
def test_many_files_that_wait_at_start_cost_no_memory(native: ForkedInstallation) -> None:
    worker = native.start()
    native.wait_until_watching()
    before = memory(worker.pid)
    worker.kill()
    for number in range(600):
        native.drop(f"{number}.jpg", b"%d<cat>" % number)
    worker = native.start()
    native.wait(lambda: native.rows("id", "state = 'filed'"), "the first batch", 10.0)
    native.wait_until_filed()
    assert memory(worker.pid) - before < 15 << 20
    native.ends_well()


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.fault(5, 6)
@pytest.mark.parametrize(
    ("what", "sysctl"), [("instances", "max_user_instances"), ("watches", "max_user_watches")]
)
def test_without_inotify_it_polls_and_says_what_to_raise(
    native: ForkedInstallation, what: str, sysctl: str
) -> None:
    for number in range(5):
        native.drop(f"{number}/{number}.jpg", b"%d<cat>" % number)
    worker = native.start(inotify=(what, 0 if what == "instances" else 2))
    native.wait(lambda: native.log or worker.state in "XZ", "a sign of life")
    if not native.log or "PermissionError" in native.log or "Operation not permitted" in native.log:
        pytest.skip("no user namespaces here, as in a chroot")
    native.wait(lambda: native.beat and native.beat.health == "degraded", "the truth", 5.0)
    assert f"max_user_{what}" in native.log
    native.drop("later/on.jpg", b"later<cat>")
    native.wait_until_filed()
    assert worker.state not in "XZ"
    native.ends_well()


@pytest.mark.fault(8, 9)
@pytest.mark.parametrize("away", ["removed", "renamed"])
def test_an_inbox_that_is_made_anew_while_it_works(
    native: ForkedInstallation, tmp_path: Path, away: str
) -> None:
    native.start()
    native.wait_until_watching()
    if away == "removed":
        native.inbox.rmdir()
    else:
        native.inbox.rename(tmp_path / "inbox.old")
        (tmp_path / "inbox.old" / "old.jpg").write_bytes(b"old<cat>")
    native.inbox.mkdir()
    native.drop("new.jpg", b"new<cat>")
    native.wait_until_filed()
    native.drop("newer.jpg", b"newer<cat>")
    native.wait_until_filed()
    native.ends_well()
    assert away == "removed" or (tmp_path / "inbox.old" / "old.jpg").exists()


@pytest.mark.fault(11, 12)
@pytest.mark.parametrize("closes", [False, True], ids=["slow", "scanner"])
def test_a_slow_writer_is_waited_for(native: ForkedInstallation, closes: bool) -> None:
    native.start()
    native.wait_until_watching()
    path = native.inbox / "slow.jpg"
    file = open(path, "ab", buffering=0)  # noqa: SIM115
    for part in range(6):
        file.write(b"part %d " % part)
        if closes:
            file.close()
        time.sleep(0.1 if closes else 0.3)  # longer than the settle time only while it is open
        if closes:
            file = open(path, "ab", buffering=0)  # noqa: SIM115
        assert native.rows("id") == []
    file.write(b"<cat>")
    file.close()
    native.injected.append(path.read_bytes())
    native.wait_until_filed()
    native.ends_well()


@pytest.mark.fault(13, 14, 15)
def test_files_that_are_renamed_linked_or_moved_in_as_a_folder(
    native: ForkedInstallation, tmp_path: Path
) -> None:
    native.start()
    native.wait_until_watching()
    outside = tmp_path / "outside"
    (outside / "tree" / "deep").mkdir(parents=True)
    (outside / "tree" / "empty").mkdir()
    for name in ("renamed.jpg", "linked.jpg", "tree/a.jpg", "tree/deep/b.jpg"):
        (outside / name).write_bytes(f"{name}<cat>".encode())
        native.injected.append((outside / name).read_bytes())
    os.rename(outside / "renamed.jpg", native.inbox / "renamed.jpg")
    os.link(outside / "linked.jpg", native.inbox / "linked.jpg")
    os.rename(outside / "tree", native.inbox / "tree")
    native.wait_until_filed()
    assert (outside / "linked.jpg").read_bytes() == b"linked.jpg<cat>"
    native.ends_well()


@pytest.mark.fault(16)
def test_files_that_go_again_make_no_noise(native: ForkedInstallation) -> None:
    native.start()
    native.wait_until_watching()
    chance = random.Random(16)
    for number in range(200):
        path = native.inbox / f"{number}.jpg"
        path.write_bytes(b"%d<cat>" % number)
        time.sleep(chance.choice((0.0, 0.0, 0.002)))
        path.unlink()
    native.ends_well()
    assert "ERROR" not in native.log
    assert native.log.count("WARNING") == 0


@pytest.mark.fault(17)
def test_a_file_that_is_replaced_again_and_again_is_recorded_as_it_was(native: ForkedInstallation) -> None:
    native.start()
    native.wait_until_watching()
    chance, written = random.Random(17), set()
    for number in range(150):
        content = b"%d<cat>" % number
        written.add(digest(content))
        aside = native.folder / "aside"
        aside.write_bytes(content)
        aside.replace(native.inbox / "same.jpg")
        time.sleep(chance.choice((0.0, 0.01, 0.22)) if number % 10 == 0 else 0.0)
    native.wait(lambda: not list(native.inbox.iterdir()), "the last one to be taken")
    native.wait(lambda: not native.rows("id", "state <> 'filed'"), "all to be filed")
    there = {digest(read(path)) for path in files_below(native.settings.sorted)}
    recorded = {sha256 for (sha256,) in native.rows("sha256")}
    assert recorded == there
    assert there <= written
    native.injected = [read(path) for path in files_below(native.settings.sorted)]
    native.ends_well()


@ROOT_ONLY
@pytest.mark.fault(18)
def test_a_writer_that_goes_on_after_the_claim_is_noticed(unprivileged: ForkedInstallation) -> None:
    pawsort = unprivileged
    pawsort.start(uid=UNPRIVILEGED, delay=0.3)
    pawsort.wait_until_watching()
    path = pawsort.drop("late.jpg", b"begin<cat>")  # root's: no other user gets a lease on it
    with open(path, "ab", buffering=0) as writer:
        os.fchmod(writer.fileno(), 0o666)
        pawsort.wait(lambda: pawsort.rows("id", "state = 'decoding'"), "the claim")
        writer.write(b" and end")
        pawsort.wait(lambda: "was written to after it was claimed" in pawsort.log, "a word about it")
    pawsort.injected[:] = [b"begin<cat> and end"]
    pawsort.wait_until_filed()
    assert pawsort.rows("sha256") == [(hashlib.sha256(b"begin<cat> and end").hexdigest(),)]
    pawsort.ends_well()


@pytest.mark.fault(19)
def test_a_storm_of_events_is_one_delivery(native: ForkedInstallation) -> None:
    native.start()
    native.wait_until_watching()
    path = native.drop("a.jpg", b"<cat>")
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        os.close(os.open(path, os.O_WRONLY))
    native.wait_until_filed()
    native.ends_well()


@pytest.mark.fault(20)
def test_files_of_any_age(native: ForkedInstallation) -> None:
    for number, moment in enumerate((0, 1, 4_102_444_800)):
        os.utime(native.drop(f"{number}.jpg", b"%d<cat>" % number), (moment, moment))
    native.start()
    native.wait_until_filed()
    native.ends_well()


@pytest.mark.fault(21)
def test_temporary_names_are_left_until_they_have_their_final_name(native: ForkedInstallation) -> None:
    native.start()
    native.wait_until_watching()
    names = [
        "a.jpg.part",
        "b.crdownload",
        "c.jpg~",
        "d.tmp",
        ".DS_Store",
        "._x.jpg",
        "Thumbs.db",
        ".stfolder",
    ]
    for name in names:
        native.drop(name, f"{name}<cat>".encode())
    native.drop("plain.jpg", b"plain<cat>")
    native.wait_until_filed(1)
    assert sorted(path.name for path in native.inbox.iterdir()) == sorted(names)
    for number, name in enumerate(names):
        (native.inbox / name).rename(native.inbox / f"{number}.jpg")
    native.wait_until_filed()
    native.ends_well()
