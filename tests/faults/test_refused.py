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
from tests.support.fault_site import Site
from tests.support.forked_worker import SETTINGS, Nursery
from tests.support.oracle import conserved, files_below

pytestmark = pytest.mark.timeout(300)


@contextlib.contextmanager
def closed_by(site: Site, how: str) -> Iterator[int]:
    """Close the folder `closed` of the inbox; give the user that the worker is to be."""
    folder, uid = site.inbox / "closed", os.getuid()
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
@pytest.mark.parametrize("how", WAYS)
def test_sixty_files_that_may_not_be_taken_are_one_line_no_row_and_exit_code_1(
    shared_site: Site, how: str
) -> None:
    site = shared_site
    for number in range(60):
        site.drop(f"closed/{number}.jpg", b"%d<cat>" % number)
    site.drop("open.jpg", b"<dog>")
    with closed_by(site, how) as uid:
        assert site.live(uid=uid) == 1
        assert site.rows("name, state") == [("open.jpg", "filed")]
        assert len(files_below(site.inbox / "closed")) == 60
        assert not files_below(site.settings.spool)
        assert (
            len(site.settings.sorted.joinpath("cats").exists() * files_below(site.settings.sorted / "cats"))
            == 0
        )
    assert site.log.count("cannot take") == 1, site.log
    assert "/closed/" in site.log
    assert "/proc/" not in site.log
    if how != "sticky":
        os.chown(site.inbox / "closed", UNPRIVILEGED, UNPRIVILEGED)
    assert site.live(uid=os.getuid()) == 0
    conserved(site.settings, site.injected)
    assert len(site.rows("id")) == 61


@ROOT_ONLY
@pytest.mark.fault(72)
def test_a_folder_that_is_opened_again_is_taken_from_and_that_is_logged(shared_site: Site) -> None:
    site = shared_site
    for number in range(20):
        site.drop(f"closed/{number}.jpg", b"%d<cat>" % number)
    os.chown(site.inbox / "closed", UNPRIVILEGED, UNPRIVILEGED)
    with closed_by(site, "read-only"):
        site.start()
        site.wait(
            lambda: site.beat and "files cannot be taken: Read-only" in str(site.beat.reasons), "a reason"
        )
        time.sleep(0.5)
        assert site.rows("id") == []
        assert site.log.count("cannot take") == 1
    site.wait_until_filed()
    site.wait(lambda: "no file is refused here any more" in site.log, "a word about it")
    site.wait_until_watching()
    site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(71)
def test_a_folder_that_may_not_be_listed_is_exit_code_1(shared_site: Site) -> None:
    site = shared_site
    site.drop("secret/a.jpg", b"<cat>")
    site.drop("open.jpg", b"<dog>")
    with injection.mode(site.inbox / "secret", 0):
        assert site.live(uid=UNPRIVILEGED) == 1
    assert site.log.count("'secret'") == 1
    assert len(site.rows("id")) == 1
    assert site.live() == 0
    conserved(site.settings, site.injected)


@ROOT_ONLY
@pytest.mark.fault(74)
def test_a_spool_mounted_read_only_pauses_and_names_it(site: Site) -> None:
    site.start()
    site.wait_until_watching()
    spool = site.settings.spool
    injection.call("mount", "--bind", spool, spool)
    try:
        injection.call("mount", "-o", "remount,bind,ro", spool)
        site.drop("a.jpg", b"<cat>")
        site.wait_until_paused(f"Read-only file system: '{spool}'")
        assert site.rows("id") == []
        assert "/proc/" not in site.log
    finally:
        injection.unmount(spool)
    site.wait_until_filed()
    site.wait_until_watching()
    site.ends_well()


@ROOT_ONLY
@pytest.mark.fault(72)
@pytest.mark.parametrize("name", ["cats", "failed"])
@pytest.mark.parametrize("when", ["at start", "while it works"])
def test_one_folder_under_sorted_that_is_read_only_keeps_its_own_files_waiting(
    site: Site, name: str, when: str
) -> None:
    marker = {"cats": b"<cat>", "failed": b"<truncated>"}[name]
    folder = site.settings.sorted / name
    folder.mkdir(parents=True)
    if when == "while it works":
        site.start()
        site.wait_until_watching()
    injection.call("mount", "--bind", folder, folder)
    try:
        injection.call("mount", "-o", "remount,bind,ro", folder)
        if when == "at start":
            site.start()
        for number in range(5):
            site.drop(f"{number}.jpg", b"%d" % number + marker)
            site.drop(f"dog {number}.jpg", b"%d<dog>" % number)
        site.wait_until_filed(5)
        site.wait(lambda: site.beat and "Read-only" in str(site.beat.reasons), "the truth", 5.0)
        assert site.log.count("cannot file") == 1
    finally:
        injection.unmount(folder)
    site.wait_until_filed()
    site.wait_until_watching()
    site.ends_well()


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
def test_every_name_is_filed_on_disks_of_other_systems(tmp_path: Path, nursery: Nursery, kind: str) -> None:
    with foreign(kind, tmp_path / "image", tmp_path / "sorted"), Site(tmp_path, nursery, SETTINGS) as site:
        for number, name in enumerate(NAMES):
            site.drop(name, b"%d<cat>" % number)
        assert site.live() == 0, site.log
        assert len(site.rows("id", "state = 'filed'")) == len(NAMES)
        assert (site.settings.sorted / "cats" / "plain.jpg").exists()
        for name in NAMES:
            assert os.path.splitext(name)[1].strip(b". ") in (b"", b"jpg")
        site.ends_well()
