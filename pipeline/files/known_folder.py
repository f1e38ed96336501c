"""Recognise a folder, also after its disk or share was mounted again."""

from __future__ import annotations

import errno
import logging
import os

from pipeline.files.folders import FolderError, is_folder

log = logging.getLogger(__name__)


class KnownFolder:
    """A folder as it is now, to be recognised later. Raises OSError.

    Files moved into the empty folder under an unmounted disk would be hidden once it is mounted, and files of
    another disk are not those that the rows name.
    """

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._id = folder_id(path)
        self._parts = _folders_in(path)

    def check(self) -> None:
        """Raise FolderError if another folder has its path, or OSError if it cannot be reached.

        Many disks and shares get another device number at each mount. So a folder with the same inode on
        another device is the same one, if it contains the folders that it contained.
        """
        found = folder_id(self._path)
        if found == self._id:
            return
        if found[1] != self._id[1] or not self._parts or not all(map(is_folder, self._parts)):
            why = "is another folder than at the start; put the first one back, or restart to use this one"
            raise FolderError(errno.ENOTDIR, why, self._path)
        log.warning("%s: its disk was mounted again", os.fsdecode(self._path))
        self._id = found


def folder_id(path: bytes) -> tuple[int, int]:
    """Return device and inode of a folder. Raises OSError."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _folders_in(path: bytes) -> list[bytes]:
    with os.scandir(path) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
