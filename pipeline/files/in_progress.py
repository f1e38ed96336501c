"""Files that are being written: locked, so that those that killed processes left can be told from them.

The kernel's lock decides, not the number of the process, which says nothing where containers or machines
share a folder. Linux passes locks on to the server of an NFS share.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.files.permissions import own_mode

ABANDONED_SECONDS = 86_400.0
"""Age from which a file is taken for abandoned where the file system has no locks."""

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_TRIES = 100


def create_in(folder: Path, prefix: str, ending: str, mode: int = 0o666) -> tuple[Path, BinaryIO]:
    """Make a file whose name has eight random letters between two parts; return its path, and it locked.

    A file of another or a link that has its name is neither replaced nor followed. The lock ends when the
    file is closed. Raises OSError.
    """
    for _ in range(_TRIES):
        place = folder / f"{prefix}{secrets.token_hex(4)}{ending}"
        with suppress(FileExistsError):
            if (file := _created(place, mode)) is not None:
                return place, file
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(folder / f"{prefix}*{ending}"))


def remove_abandoned(files: Iterable[Path]) -> None:
    """Remove those files that no process writes any more, as far as this user may."""
    for file in files:
        with suppress(OSError):  # gone, or another user's
            if file.is_symlink():  # never one of Pawsort's
                file.unlink()
            else:
                _remove_if_abandoned(file)


def is_abandoned(file: Path) -> bool:
    """Return whether no process writes a file any more. Raises OSError."""
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _is_abandoned(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_abandoned(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Within the lock: the process that has made the file, and waits for it, notices that.
        if _is_abandoned(descriptor) and _is_at(descriptor, file):
            file.unlink()
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return time.time() - os.fstat(descriptor).st_mtime > ABANDONED_SECONDS
    return True


def _created(place: Path, mode: int) -> BinaryIO | None:
    """Make a locked file, None if it was taken for abandoned before it was locked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(place, flags, own_mode(mode))
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not _is_at(descriptor, place):
            os.close(descriptor)
            return None
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "w+b")


def _is_at(descriptor: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(place))
    except FileNotFoundError:
        return False
