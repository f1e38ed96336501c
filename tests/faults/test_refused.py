"""Folders, disks and names that refuse files, by the kernel's own word: neighbours go on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import injection
from tests.faults.injection import ROOT_ONLY, UNPRIVILEGED
from tests.support.fork_server import ForkServer
from tests.support.forked_installation import ForkedInstallation
from tests.support.installation import QUICK
from tests.support.oracle import conserved, files_below

pytestmark = pytest.mark.timeout(300)


@contextlib.contextmanager
def closed_by(pawsort: ForkedInstallation, how: str) -> Iterator[int]:
    """Close the folder `closed` of the inbox; give the user that the worker is to be."""
    folder, uid = pawsort.inbox / "closed", os.getuid()
    with contextlib.ExitStack() as stack:
        if how == "mode":
            stack.enter_context(injection.mode(folder, 0o555))
            uid = UNPRIVILEGED
        elif how == "sticky":
            stack.enter_context(injection.mode(folder, 0o1777))
            uid = UNPRIVILEGED
        elif how == "read-only":
            injection.call("mount", "--bind", folder, folder)
            stack.callback(injection.unmount, folder)
            injection.call("mount", "-o", "remount,bind,ro", folder)
        else:
            immutable = [folder] if how == "immutable folder" else list(folder.iterdir())
            stack.enter_context(injection.immutable(*immutable))
        yield uid


WAYS = ("mode", "sticky", "read-only", "immutable folder", "immutable files")


@ROOT_ONLY
@pytest.mark.fault(72, 73)
@pytest.mark.parametrize(
    "how", ["mode", *(pytest.param(how, marks=pytest.mark.long) for how in WAYS if how != "mode")]
)
def test_sixty_files_that_may_not_be_taken_are_one_line_no_row_and_exit_code_1(
    unprivileged: ForkedInstallation, how: str
) -> None:
    pawsort = unprivileged
    for number in range(60):
        pawsort.drop(f"closed/{number}.jpg", b"%d<cat>" % number)
    pawsort.drop("open.jpg", b"<dog>")
    with closed_by(pawsort, how) as uid:
        assert pawsort.run_once(uid=uid) == 1
        assert pawsort.rows("name, state") == [("open.jpg", "filed")]
        assert len(files_below(pawsort.inbox / "closed")) == 60
        assert not files_below(pawsort.settings.spool)
        assert (
            len(
                pawsort.settings.sorted.joinpath("cats").exists()
                * files_below(pawsort.settings.sorted / "cats")
            )
            == 0
        )
    assert pawsort.log.count("cannot take") == 1, pawsort.log
    assert "/closed/" in pawsort.log
    assert "/proc/" not in pawsort.log
    if how != "sticky":
        os.chown(pawsort.inbox / "closed", UNPRIVILEGED, UNPRIVILEGED)
    assert pawsort.run_once(uid=os.getuid()) == 0
    conserved(pawsort.settings, pawsort.injected)
    assert len(pawsort.rows("id")) == 61


@ROOT_ONLY
@pytest.mark.fault(72)
def test_a_folder_that_is_opened_again_is_taken_from_and_that_is_logged(
    unprivileged: ForkedInstallation,
) -> None:
    pawsort = unprivileged
    for number in range(20):
        pawsort.drop(f"closed/{number}.jpg", b"%d<cat>" % number)
    os.chown(pawsort.inbox / "closed", UNPRIVILEGED, UNPRIVILEGED)
    with closed_by(pawsort, "read-only"):
        pawsort.start()
        pawsort.wait(
            lambda: pawsort.beat and "files cannot be taken: Read-only" in str(pawsort.beat.reasons),
            "a reason",
        )
        time.sleep(0.5)
        assert pawsort.rows("id") == []
        assert pawsort.log.count("cannot take") == 1
    pawsort.wait_until_filed()
    pawsort.wait(lambda: "no file is refused here any more" in pawsort.log, "a word about it")
    pawsort.wait_until_watching()
    pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(71)
def test_a_folder_that_may_not_be_listed_is_exit_code_1(unprivileged: ForkedInstallation) -> None:
    pawsort = unprivileged
    pawsort.drop("secret/a.jpg", b"<cat>")
    pawsort.drop("open.jpg", b"<dog>")
    with injection.mode(pawsort.inbox / "secret", 0):
        assert pawsort.run_once(uid=UNPRIVILEGED) == 1
    assert pawsort.log.count("'secret'") == 1
    assert len(pawsort.rows("id")) == 1
    assert pawsort.run_once() == 0
    conserved(pawsort.settings, pawsort.injected)


@ROOT_ONLY
@pytest.mark.fault(74)
def test_a_spool_mounted_read_only_pauses_and_names_it(pawsort: ForkedInstallation) -> None:
    pawsort.start()
    pawsort.wait_until_watching()
    spool = pawsort.settings.spool
    injection.call("mount", "--bind", spool, spool)
    try:
        injection.call("mount", "-o", "remount,bind,ro", spool)
        pawsort.drop("a.jpg", b"<cat>")
        pawsort.wait_until_paused(f"Read-only file system: '{spool}'")
        assert pawsort.rows("id") == []
        assert "/proc/" not in pawsort.log
    finally:
        injection.unmount(spool)
    pawsort.wait_until_filed()
    pawsort.wait_until_watching()
    pawsort.ends_well()


@ROOT_ONLY
@pytest.mark.fault(72)
@pytest.mark.parametrize("name", ["cats", "failed"])
@pytest.mark.parametrize("when", ["at start", "while it works"])
def test_one_folder_under_sorted_that_is_read_only_keeps_its_own_files_waiting(
    pawsort: ForkedInstallation, name: str, when: str
) -> None:
    marker = {"cats": b"<cat>", "failed": b"<truncated>"}[name]
    folder = pawsort.settings.sorted / name
    folder.mkdir(parents=True)
    if when == "while it works":
        pawsort.start()
        pawsort.wait_until_watching()
    injection.call("mount", "--bind", folder, folder)
    try:
        injection.call("mount", "-o", "remount,bind,ro", folder)
        if when == "at start":
            pawsort.start()
        for number in range(5):
            pawsort.drop(f"{number}.jpg", b"%d" % number + marker)
            pawsort.drop(f"dog {number}.jpg", b"%d<dog>" % number)
        pawsort.wait_until_filed(5)
        pawsort.wait(lambda: pawsort.beat and "Read-only" in str(pawsort.beat.reasons), "the truth", 5.0)
        assert pawsort.log.count("cannot file") == 1
    finally:
        injection.unmount(folder)
    pawsort.wait_until_filed()
    pawsort.wait_until_watching()
    pawsort.ends_well()


# --- disks of other systems -----------------------------------------------------------------------------


WAYS_TO_MOUNT = {
    "vfat": [["mount", "-t", "vfat", "-o", "utf8"]],
    "exfat": [["mount", "-t", "exfat"], ["mount.exfat-fuse"]],
    "ntfs": [["mount", "-t", "ntfs3", "-o", "windows_names"], ["ntfs-3g", "-o", "windows_names"]],
}


@contextlib.contextmanager
def foreign(kind: str, image: Path, folder: Path) -> Iterator[None]:
    """Make and mount a file system that is not Linux's own, by the kernel or by FUSE, or skip."""
    image.touch()
    os.truncate(image, 32 << 20)
    injection.call(f"mkfs.{kind}", *(["-Q", "-F"] if kind == "ntfs" else []), image)
    folder.mkdir()
    with injection.loop_device(image) as device:
        said = []
        for command in WAYS_TO_MOUNT[kind]:
            with contextlib.suppress(FileNotFoundError):
                line = [*command, device, str(folder)]
                said.append(subprocess.run(line, capture_output=True, text=True, check=False).stderr.strip())
            if os.path.ismount(folder):
                break
        else:
            pytest.skip(f"{kind} cannot be mounted here: {said}")
        try:
            yield
        finally:
            injection.unmount(folder)


NAMES = (
    b"plain.jpg",
    b"con.jpg",
    b"CON",
    b"a:b.jpg",
    b"what?.jpg",
    b"star*.jpg",
    b'"quoted".jpg',
    b"back\\slash.jpg",
    b"pipe|.jpg",
    b"new\nline.jpg",
    b"dot.jpg.",
    b"space.jpg ",
    b"\xff\xfe.jpg",
    "é ü 猫.jpg".encode(),
    "猫".encode() * 83 + b".jpg",
    b"x" * 251 + b".jpg",
    b"aux/x.jpg",
    b"a:b/x.jpg",
    b"dots./x.jpg",
    b"\xff/x.jpg",
    b"\xff/y?.jpg",
    b"lpt1/con/nul.jpg",
)


@ROOT_ONLY
@pytest.mark.parametrize("kind", ["vfat", "exfat", "ntfs"])
def test_every_name_is_filed_on_disks_of_other_systems(
    tmp_path: Path, fork_server: ForkServer, kind: str
) -> None:
    with (
        foreign(kind, tmp_path / "image", tmp_path / "sorted"),
        ForkedInstallation(tmp_path, fork_server, QUICK) as pawsort,
    ):
        for number, name in enumerate(NAMES):
            pawsort.drop(name, b"%d<cat>" % number)
        assert pawsort.run_once() == 0, pawsort.log
        assert len(pawsort.rows("id", "state = 'filed'")) == len(NAMES)
        assert (pawsort.settings.sorted / "cats" / "plain.jpg").exists()
        for name in NAMES:
            assert os.path.splitext(name)[1].strip(b". ") in (b"", b"jpg")
        pawsort.ends_well()
