"""Detect that the folder of an inbox is missing, back again or replaced by another folder."""

from __future__ import annotations

import errno
import logging
import os
import stat
from enum import Enum
from pathlib import Path

log = logging.getLogger(__name__)


class FolderChange(Enum):
    """How the folder differs from the last check."""

    NONE = "none"
    LOST = "lost"
    NEW = "new"  # reachable for the first time, reachable again, or another inode


class InboxFolder:
    """Compare an inbox's folder with the last check by device and inode, and log each change once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = os.fsencode(path)
        self._inode: tuple[int, int] | None = None
        self._was_mounted = False
        self.problem = ""
        """Why the folder cannot be reached; empty while it can."""

    def check(self) -> FolderChange:
        """Look at the folder and return what changed."""
        try:
            inode = self._identify()
        except OSError as error:
            return self._lose(error)
        if inode == self._inode:
            return FolderChange.NONE
        if self.problem:
            log.warning("%s: the inbox is back", self._path)
        elif self._inode is not None:
            log.warning("%s: the inbox was replaced by another folder; watching that one", self._path)
        self.problem, self._inode = "", inode
        return FolderChange.NEW

    def _identify(self) -> tuple[int, int]:
        status = os.stat(self._root)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder")
        inode = status.st_dev, status.st_ino
        if inode != self._inode:
            self._refuse_bare_mount_point()
        return inode

    def _refuse_bare_mount_point(self) -> None:
        """Raise OSError if the inbox was a mounted disk and is now the empty folder under it."""
        mounted = os.path.ismount(self._root)
        if self._was_mounted and not mounted:
            raise OSError(errno.ENODEV, "its disk is not mounted any more")
        self._was_mounted = mounted

    def _lose(self, error: OSError) -> FolderChange:
        self._inode = None
        if self.problem:
            return FolderChange.NONE
        self.problem = f"the inbox cannot be reached: {error.strerror}"
        log.error("%s: %s; retrying until it is back", self._path, self.problem)
        return FolderChange.LOST
