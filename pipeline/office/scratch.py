"""Keep the temporary files of openpyxl where there is room, and remove those of killed processes.

It writes each sheet into a file of its own, as large as a gigabyte, and removes those that are not saved when
Python ends, which a killed process does not do. The usual folder of temporary files may be in memory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".office-"

_TEMPDIR = threading.Lock()


@contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """Give a new folder in `folder` that is removed in the end; remove what killed processes left there.

    A lock, which the kernel releases, marks it as used. Raises OSError.
    """
    for left in folder.glob(f"{PREFIX}*"):
        _remove_abandoned(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def _remove_abandoned(left: Path) -> None:
    with suppress(OSError):  # used, gone, or another user's
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(lock)


@contextmanager
def openpyxl_files_in(scratch: Path) -> Iterator[None]:
    """Have the temporary files that are made meanwhile in `scratch`: openpyxl has no option for it."""
    with _TEMPDIR:
        before = tempfile.tempdir
        tempfile.tempdir = str(scratch)
        try:
            yield
        finally:
            tempfile.tempdir = before
