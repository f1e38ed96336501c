"""A rename never overwrites, whatever the file system offers for it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.files import moves, renames
from tests.pipeline.files.conftest import listing, put, read, refuse

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


def test_rename_moves_the_file(home: bytes, way: str) -> None:
    source, target = put(home + b"/a"), home + b"/b"
    before = moves.identity(source)
    moves.rename(source, target)
    assert listing(home) == [b"b"]
    assert moves.identity(target) == before


@pytest.mark.fault(38)
def test_rename_never_overwrites(home: bytes, way: str) -> None:
    source, target = put(home + b"/a", b"new"), put(home + b"/b", b"old")
    with pytest.raises(FileExistsError):
        moves.rename(source, target)
    assert (read(source), read(target)) == (b"new", b"old")


@pytest.mark.parametrize(
    "make", [os.mkdir, lambda path: os.symlink(b"nowhere", path)], ids=["folder", "dangling link"]
)
def test_rename_never_replaces_folders_and_links(
    home: bytes, way: str, make: Callable[[bytes], None]
) -> None:
    source, target = put(home + b"/a"), home + b"/b"
    make(target)
    with pytest.raises(FileExistsError):
        moves.rename(source, target)
    assert listing(home) == [b"a", b"b"]


def test_rename_keeps_both_names_of_one_file(home: bytes, way: str) -> None:
    source = put(home + b"/a")
    os.link(source, home + b"/b") if way != "placeholder" else put(home + b"/b")
    with pytest.raises(FileExistsError):
        moves.rename(source, home + b"/b")
    assert listing(home) == [b"a", b"b"]


def test_rename_says_whether_the_file_or_the_folder_is_missing(home: bytes, way: str) -> None:
    with pytest.raises(FileNotFoundError):
        moves.rename(home + b"/none", home + b"/b")
    if way == "renameat2":
        with pytest.raises(moves.FolderError, match="folder is missing"):
            moves.rename(put(home + b"/a"), home + b"/none/b")


def test_a_failed_placeholder_leaves_nothing(home: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renames, "_rename_noreplace", refuse(errno.ENOSYS))
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, "rename", refuse(errno.EIO))
    source = put(home + b"/a")
    with pytest.raises(OSError, match="Input/output"):
        moves.rename(source, home + b"/b")
    assert listing(home) == [b"a"]


@pytest.mark.fault(72)
def test_a_link_is_taken_back_when_the_source_cannot_go(home: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    source, unlink = put(home + b"/a"), os.unlink
    monkeypatch.setattr(renames, "_rename_noreplace", refuse(errno.ENOSYS))
    monkeypatch.setattr(os, "unlink", lambda path: refuse(errno.EACCES)() if path == source else unlink(path))
    with pytest.raises(PermissionError):
        moves.move(source, home + b"/b")
    assert listing(home) == [b"a"]


def test_an_unknown_flag_is_the_only_reason_to_link(home: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renames, "_rename_noreplace", refuse(errno.EACCES))
    with pytest.raises(PermissionError):
        moves.rename(put(home + b"/a"), home + b"/b")


@given(first=names, second=names)
@settings(max_examples=60, deadline=None)
def test_names_of_any_bytes_survive(first: bytes, second: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = os.fsencode(folder)
        source = put(os.path.join(home, b"in", first), b"1")
        os.mkdir(home + b"/out")
        moves.rename(source, os.path.join(home, b"out", second))
        assert listing(home + b"/out") == [second]
