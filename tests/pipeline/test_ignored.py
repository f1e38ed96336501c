"""Names of what is no photo."""

from __future__ import annotations

import pytest

from pipeline.ignored import ignorer, is_temporary, within

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


def test_a_file_in_an_ignored_folder_is_ignored() -> None:
    ignored = ignorer(["private"])
    assert within(ignored, b"a/@eaDir/b/c.jpg")
    assert within(ignored, b"x/private/c.jpg")
    assert not within(ignored, b"x/y/c.jpg")
