"""Open and read files that people name on the command line: regular ones, of a bounded size.

Reading a device such as `/dev/zero` never ends, and opening a named pipe waits for its writer without limit.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

TEXT_BYTES = 1_000_000
"""Maximum size of settings, recipes and other files that people write."""

_PASSED = re.compile(r"/dev/fd/\d+|/proc/\w+/fd/\d+")
_LINKS = 40  # as many as the kernel follows


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file for reading, or a pipe that a shell has passed: `<(command)`, /dev/stdin.

    Raises OSError: EISDIR for a folder, EINVAL for a device or named pipe.
    """
    passed = _is_passed(os.path.abspath(path))
    # O_NONBLOCK, since opening a named pipe for reading would wait for its writer without limit.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (0 if passed else os.O_NONBLOCK)
    descriptor = os.open(path, flags)
    try:
        _refuse_other(os.fstat(descriptor).st_mode, passed, path)
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")


def read(path: Path | str, limit: int) -> bytes:
    """Read a file of at most `limit` bytes. Raises OSError as `open_regular`, and EFBIG."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes, the most that is allowed", os.fspath(path))
    return data


def read_text(path: Path | str) -> str:
    """Read UTF-8 of at most TEXT_BYTES. Raises OSError as `read`, and UnicodeDecodeError."""
    return read(path, TEXT_BYTES).decode()


def _is_passed(path: str) -> bool:
    """Return whether a path names an open file of a process, also by links such as /dev/stdin."""
    for _ in range(_LINKS):
        if _PASSED.fullmatch(path):
            return True
        try:
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        except OSError:  # no link, or nothing there
            return False
    return False


def _refuse_other(mode: int, passed: bool, path: Path | str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode) and not (passed and stat.S_ISFIFO(mode)):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
