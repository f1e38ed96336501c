"""Put a second copy of a file, or a second name, beside others: checked by its hash, never over another file.

Paths are absolute and bytes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable

from pipeline.files.copy import copy, copy_attributes, copy_name, identity, opened, sha256
from pipeline.files.renames import rename

_FICLONE = 0x40049409
"""The request to share a file's blocks: ioctl_ficlonerange(2)."""


class ContentChangedError(OSError):
    """The file has another content than expected; nothing was made."""


def put(source: bytes, destination: bytes, expected: str | None, *, link: bool = False) -> None:
    """Make `destination` a copy of the regular file `source`, with `link` a hard link to it.

    A copy shares the blocks of the source where the file system can, and is durable once its folder is
    synced. `expected` is the SHA-256 that the content must have, None if unknown. Raises ContentChangedError,
    FileExistsError (choose another name), FileNotFoundError, or another OSError; after each nothing was made.
    """
    with opened(source) as descriptor:
        if link:
            _refuse_other(source, expected, source)
            link_open(descriptor, destination)
        else:
            copy_open(descriptor, destination, lambda made: _refuse_other(made, expected, source))


def link_open(descriptor: int, destination: bytes) -> None:
    """Make `destination` a hard link to an open file. Raises FileExistsError, or another OSError."""
    # By the open file, so that another one of the same name is not linked in its place.
    opened_file = b"/proc/self/fd/%d" % descriptor
    # With a folder given, Python calls linkat, which follows this link; link(2) does not.
    os.link(opened_file, destination, src_dir_fd=descriptor, follow_symlinks=True)


def copy_open(
    descriptor: int,
    destination: bytes,
    check: Callable[[bytes], None],
    write: Callable[[int, bytes], None] | None = None,
) -> None:
    """Make `destination` a copy of an open file, as `put` does; by `write` where no blocks can be shared.

    `check` is called with the path of the copy before that gets its name, and may raise OSError.
    """
    temporary = os.path.join(os.path.dirname(destination), copy_name(identity(descriptor)))
    try:
        if not _clone(descriptor, temporary):
            (write or copy)(descriptor, temporary)
        check(temporary)
        rename(temporary, destination)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _refuse_other(path: bytes, expected: str | None, source: bytes) -> None:
    if expected is not None and sha256(path) != expected:
        raise ContentChangedError(errno.EBUSY, "its content has changed since it was filed", source)


def _clone(descriptor: int, temporary: bytes) -> bool:
    """Make `temporary` share the blocks of an open file; return False if the file system cannot."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.ioctl(target, _FICLONE, descriptor)
    except OSError:  # another file system, or one without shared blocks: `copy` says if it is something else
        return False
    else:
        copy_attributes(descriptor, target)
        os.fsync(target)
        return True
    finally:
        os.close(target)
