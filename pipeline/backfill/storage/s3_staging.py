"""Folders for photos that have to be fetched: a bounded one in memory, and one on the disk for the rest."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from itertools import count
from pathlib import Path
from threading import Lock

from pipeline.processes import is_running

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
MOST_BYTES = 512 << 20
"""Most bytes of photos in memory at once, for one process."""

_PREFIX = "pawsort-s3-"


class Staging:
    """New paths for photos; the folders are removed with this object, or at the next start after a kill.

    At most `most` bytes are in the folder in `memory`, and at most half of what it can have.
    """

    def __init__(self, memory: Path = MEMORY, most: int = MOST_BYTES) -> None:
        self._memory, self._most = memory, most
        self._numbers = count()
        self._folders: dict[Path, Path] = {}
        self._sizes: dict[str, int] = {}
        self._lock = Lock()

    def new_path(self, size: int, disk: Path) -> Path:
        """Return a new, empty file for a photo of `size` bytes, below `disk` if it does not fit into memory.

        Raises OSError.
        """
        top = self._memory if os.access(self._memory, os.W_OK) else disk
        with self._lock:
            folder = self._folder(top)
            if top is not disk and not self._fits(folder, size):
                folder = self._folder(disk)
            path = folder / str(next(self._numbers))
            path.touch(0o600)
            self._sizes[path.name] = size
        return path

    def clear(self) -> None:
        """Remove all photos."""
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()
        self._sizes.clear()

    def _fits(self, folder: Path, size: int) -> bool:
        names = set(os.listdir(folder))
        # By the sizes that they will have, since some are being fetched.
        there = sum(self._sizes.get(name, 0) for name in names)
        return there + size <= min(self._most, shutil.disk_usage(folder).total // 2)

    def _folder(self, top: Path) -> Path:
        if top not in self._folders:
            _remove_left(top)
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=top))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._folders[top] = folder
        return self._folders[top]


def _remove_left(top: Path) -> None:
    """Remove the folders of processes that were killed; those of another user stay."""
    for left in top.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_running(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
