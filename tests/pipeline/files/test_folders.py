"""Folders are made and synced, never where a disk is missing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from pipeline.files import moves
from tests.pipeline.files.conftest import put, refuse


def test_make_folders_makes_and_syncs_what_is_missing(home: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr("pipeline.files.folders.sync_folders", synced.extend)
    moves.make_folders(home + b"/cats/a/b", home + b"/cats")
    assert os.path.isdir(home + b"/cats/a/b")
    assert synced == [home, home + b"/cats", home + b"/cats/a"]
    moves.make_folders(home + b"/cats/a/b", home + b"/cats")
    assert len(synced) == 3


@pytest.mark.parametrize("make", [put, lambda path: os.symlink(b"/tmp", path)], ids=["file", "link"])
@pytest.mark.fault(70)
def test_nothing_is_filed_into_an_entry_that_is_not_a_folder(
    home: bytes, make: Callable[[bytes], None]
) -> None:
    make(home + b"/cats")
    with pytest.raises(moves.FolderError):
        moves.make_folders(home + b"/cats", home + b"/cats")
    os.mkdir(home + b"/dogs")
    make(home + b"/dogs/a")
    with pytest.raises(FileExistsError):
        moves.make_folders(home + b"/dogs/a/b", home + b"/dogs")


@pytest.mark.fault(70)
def test_folders_are_not_made_where_a_disk_is_missing(home: bytes) -> None:
    with pytest.raises(moves.FolderError, match="mount"):
        moves.make_folders(home + b"/sorted/cats", home + b"/sorted/cats")
    with pytest.raises(ValueError, match="not in"):
        moves.make_folders(home + b"/elsewhere", home + b"/cats")


def test_files_below_follows_no_link_and_goes_on_after_trouble(
    home: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home + b"/a")
    put(home + b"/x/y/b")
    put(home + b"/closed/c")
    os.symlink(home, home + b"/x/loop")
    os.mkfifo(home + b"/x/fifo")
    scandir, troubles = os.scandir, []
    monkeypatch.setattr(
        os, "scandir", lambda p: refuse(errno.EACCES)() if p.endswith(b"closed") else scandir(p)
    )
    assert sorted(moves.files_below(home, troubles.append)) == [home + b"/a", home + b"/x/y/b"]
    assert [error.errno for error in troubles] == [errno.EACCES]


def test_sync_folders_syncs_each_once(home: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    count: list[int] = []
    monkeypatch.setattr(os, "fsync", count.append)
    moves.sync_folders([home, home, home])
    assert len(count) == 1
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    moves.sync_folders([home])
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        moves.sync_folders([home])
