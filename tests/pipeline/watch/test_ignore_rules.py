"""Names of what is no photo."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.watch.ignore_rules import ignorer, is_temporary, within

TEMPORARY = [
    "photo.jpg.part", "photo.jpg.crdownload", "photo.jpg.download", "photo.jpg.filepart", "photo.jpg~",
    "a.tmp", "A.TMP", ".DS_Store", "._x.jpg", "Thumbs.db", "THUMBS.DB", "desktop.ini", "~$letter.docx",
    ".~lock.a.odt#", ".stfolder", ".syncthing.a.jpg.tmp", "~syncthing~a.jpg.tmp", ".directory",
    ".Trash-1000", ".Trashes", "@eaDir", "#recycle", ".pawsort-probe-12ab", ".photo.jpg.Ab3xYz",
    ".photo.jpg.~1a2b", ".goutputstream-X1Y2Z3", ".trashed-1700000000-a.jpg",
    ".pending-1700000000-a.jpg", ".a.jpg.swp", "#a.jpg#", ".nfs000012", "a.jpg.aria2",
]  # fmt: skip

PHOTOS = [
    "photo.jpg", "IMG_0001.JPG", "part.jpg", "a.part.jpg", ".hidden.jpg", "~a.jpg", "tmp",
    "thumbs.db.jpg", "a b.png", "x.jpg.exe", "$a.jpg", "#1 cat.jpg", "cat #2#.jpg", "@home.jpg",
    ".jpg", "download.jpeg", "DSC0~1.JPG",
]  # fmt: skip


@pytest.mark.parametrize("name", TEMPORARY)
def test_what_programs_leave_behind_is_ignored(name: str) -> None:
    assert is_temporary(name.encode())


@pytest.mark.parametrize("name", PHOTOS)
def test_what_may_be_a_photo_is_not(name: str) -> None:
    assert not is_temporary(name.encode())


def test_names_of_any_bytes_are_judged() -> None:
    assert not is_temporary(b"\xff\xfe.jpg")
    assert is_temporary(b"\xff\xfe.PART")


def test_the_users_patterns_are_for_the_name_or_the_path_and_know_no_case() -> None:
    ignored = ignorer(["*.XMP", "private/*", "br[[]1].jpg"])
    assert ignored(b"a/b/c.xmp")
    assert ignored(b"Private/a.jpg")
    assert ignored(b"br[1].jpg")
    assert not ignored(b"br1.jpg")
    assert not ignored(b"a/private.jpg")
    assert not ignored(b"a.xmp.jpg")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inbox that is a disk of its own, with what mkfs makes in it, if that could be done here."""
    monkeypatch.setattr(os.path, "ismount", lambda path: os.fsencode(path) == os.fsencode(tmp_path))
    real = os.lstat

    def lstat(path: bytes) -> os.stat_result:
        found = real(path)
        owner = 0 if os.path.basename(path) == b"lost+found" else 1000
        return os.stat_result((*found[:4], owner, *found[5:]))

    monkeypatch.setattr(os, "lstat", lstat)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "shelter" / "lost+found").mkdir(parents=True)
    (tmp_path / "Lost+Found").mkdir()
    return tmp_path


def test_only_the_folder_that_a_file_system_keeps_for_itself_is_passed_by(disk: Path) -> None:
    ignored = ignorer([], os.fsencode(disk))
    assert ignored(b"lost+found")
    assert within(ignored, b"lost+found/#123/a.jpg")
    assert not ignored(b"Lost+Found")
    assert not within(ignored, b"LOST+FOUND/a.jpg")
    assert not within(ignored, b"shelter/lost+found/a.jpg")
    (disk / "link").symlink_to(disk)
    assert ignorer([], os.fsencode(disk / "link"))(b"lost+found")


def test_a_shelters_own_lost_and_found_is_none_of_a_file_system(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not ignorer([], os.fsencode(disk / "shelter"))(b"lost+found"), "not at the root of a disk"
    monkeypatch.undo()
    os.chown(disk / "lost+found", 1000, 1000) if os.getuid() == 0 else None
    monkeypatch.setattr(os.path, "ismount", lambda _: True)
    assert not ignorer([], os.fsencode(disk))(b"lost+found"), "not of root"
    (disk / "shelter" / "lost+found").rmdir()
    (disk / "shelter" / "lost+found").write_bytes(b"photo")
    assert not ignorer([], os.fsencode(disk / "shelter"))(b"lost+found"), "no folder"
    assert not ignorer([])(b"lost+found")


def test_a_file_in_an_ignored_folder_is_ignored() -> None:
    ignored = ignorer(["private"])
    assert within(ignored, b"a/@eaDir/b/c.jpg")
    assert within(ignored, b"x/private/c.jpg")
    assert not within(ignored, b"x/y/c.jpg")


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    "name",
    [
        "Trip.lrcat", "Trip.lrcat-journal", "Trip.lrcat-data/1", "Trip.lrcat.lock",
        "Trip Previews.lrdata/1.jpg",
        "Photos Library.photoslibrary/originals/A/1.heic", "iPhoto.photolibrary/a.jpg", "A.aplibrary/a.jpg",
        "My.cocatalog/Originals/a.jpg", "a.cosessiondb", "b.dtbase2/files/a.jpg", "digikam4.db",
        "digikam4.db-wal",
        "PhotoLab.dxodb",
    ],
)  # fmt: skip
def test_catalogues_and_all_in_them_are_left_alone(name: str) -> None:
    assert within(ignorer([]), b"2021/" + name.encode())
    assert not within(ignorer([]), b"lrcat/photoslibrary/a.lrcat.jpg")
