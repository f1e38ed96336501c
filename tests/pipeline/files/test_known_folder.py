"""A folder is recognised after its disk was mounted again, and no other is taken for it."""

from __future__ import annotations

import os

import pytest

from pipeline.files.folders import FolderError
from pipeline.files.known_folder import KnownFolder, folder_id


@pytest.fixture
def known(home: bytes, monkeypatch: pytest.MonkeyPatch) -> KnownFolder:
    """A folder with one class, whose disk has another number since."""
    os.mkdir(home + b"/cats")
    known = KnownFolder(home)
    _see(monkeypatch, 1, 0)
    return known


def test_a_folder_whose_disk_was_mounted_again_is_the_same(known: KnownFolder) -> None:
    known.check()
    known.check()


@pytest.mark.fault(70)
def test_an_empty_folder_on_another_disk_is_another(known: KnownFolder, home: bytes) -> None:
    os.rmdir(home + b"/cats")
    with pytest.raises(FolderError, match="another folder than at the start"):
        known.check()


@pytest.mark.fault(70)
def test_a_folder_with_another_inode_is_another(known: KnownFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    _see(monkeypatch, 0, 1)
    with pytest.raises(FolderError, match="another folder than at the start"):
        known.check()


@pytest.mark.fault(70)
def test_a_folder_that_was_empty_is_not_recognised_on_another_disk(
    home: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownFolder(home)
    known.check()
    _see(monkeypatch, 1, 0)
    with pytest.raises(FolderError, match="another folder than at the start"):
        known.check()


def _see(monkeypatch: pytest.MonkeyPatch, device: int, inode: int) -> None:
    """Add these to the device and the inode that folders have."""

    def seen(path: bytes) -> tuple[int, int]:
        found = folder_id(path)
        return found[0] + device, found[1] + inode

    monkeypatch.setattr("pipeline.files.known_folder.folder_id", seen)
