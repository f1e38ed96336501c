"""Rename files without ever overwriting another one.

Paths are absolute and bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator

from pipeline.files.copy import Identity, identity
from pipeline.files.folders import FolderError

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_FLAG_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_LINK_UNKNOWN = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def rename(source: bytes, destination: bytes) -> None:
    """Rename a file inside one file system, never over another.

    Uses the first way that the file system supports: renameat2(RENAME_NOREPLACE); link and unlink (a kill in
    between leaves two names of one file, which `moves.resume` repairs); an empty placeholder made with O_EXCL
    and then replaced (a kill in between leaves an empty file, which `doctor` reports). Raises as
    `moves.move`, and OSError EXDEV.
    """
    try:
        _rename_noreplace(source, destination)
    except OSError as error:
        if error.errno in _FLAG_UNKNOWN:
            _link_and_unlink(source, destination)
        elif error.errno == errno.ENOENT and not os.path.isdir(os.path.dirname(destination)):
            raise FolderError(errno.ENOENT, "folder is missing", os.path.dirname(destination)) from error
        else:
            raise


def _rename_noreplace(source: bytes, destination: bytes) -> None:
    if b"\0" in source + destination:
        raise ValueError("embedded null byte")
    if not hasattr(_LIBC, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _LIBC.renameat2(_AT_FDCWD, source, _AT_FDCWD, destination, _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, destination)


def _link_and_unlink(source: bytes, destination: bytes) -> None:
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _LINK_UNKNOWN:
            raise
        _replace_placeholder(source, destination)
        return
    with undone_on_error(destination):
        os.unlink(source)


def _replace_placeholder(source: bytes, destination: bytes) -> None:
    placeholder = create_empty(destination)
    try:
        # Another program may have written into it or replaced it: then it must stay.
        if identity(destination) != placeholder:
            raise taken(source, destination)
        os.rename(source, destination)
    except OSError:
        if os.path.lexists(destination) and identity(destination) == placeholder:
            os.unlink(destination)
        raise


@contextlib.contextmanager
def undone_on_error(path: bytes) -> Iterator[None]:
    """Remove the new `path` if the source cannot be removed, so that retries do not add copies."""
    try:
        yield
    except OSError:
        os.unlink(path)
        raise


def taken(source: bytes, destination: bytes) -> FileExistsError:
    """Return the error that says that `destination` exists."""
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, destination)


def create_empty(path: bytes) -> Identity:
    """Make an empty file, never over another, and return its identity. Raises OSError."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        return identity(descriptor)
    finally:
        os.close(descriptor)
