"""Open a file in an inbox without following links, and check whether another program is writing to it.

Each folder on the way is opened relative to the one before and refuses links, so that a folder or file that
is replaced by a link at any moment cannot redirect the access. Names are bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.files.folders import PATH_MAX, open_any

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO for reading would wait for its writer without limit.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotRegularError(OSError):
    """The path leads to a link (ELOOP), socket (ENXIO), FIFO, device or folder (EINVAL)."""


class RefusedError(OSError):
    """No file may be moved out of a folder: its mode or owner forbids it, or it is immutable or read-only."""


class Opened(NamedTuple):
    """An open file; its descriptor closes with the context."""

    fd: int
    stat: os.stat_result


def open_folder(inbox: bytes | Path, relative: bytes) -> int:
    """Open a folder below the inbox and return its descriptor, which the caller closes.

    The path of the inbox may contain links, since the user chose it; no link below the inbox is followed.
    Raises OSError: ELOOP or ENOTDIR where a link or file is on the way.
    """
    return open_below(os.open(inbox, _FOLDER), relative)


def open_below(fd: int, relative: bytes) -> int:
    """Open a folder below the open folder `fd`, which is closed. Raises as `open_folder`."""
    for part in relative.split(b"/") if relative else ():
        try:
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


@contextmanager
def reached(inbox: bytes | Path, source: bytes) -> Iterator[bytes]:
    """Yield a short path to `source` below the inbox, valid inside the context.

    It begins with a descriptor of the file's folder, so that a folder replaced by a link cannot redirect it
    and a path of more than 4,096 bytes can be used. Raises as `open_folder`.
    """
    parent, _, name = source.rpartition(b"/")
    folder = open_folder(inbox, parent)
    try:
        yield b"/proc/self/fd/%d/%s" % (folder, name)
    except OSError as error:
        if error.filename is not None and b"/proc/self/fd/" in os.fsencode(error.filename):
            error.filename = os.fsdecode(os.path.join(os.fsencode(inbox), source))
        raise
    finally:
        os.close(folder)


def refuse_unwritable(folder: int | bytes) -> None:
    """Raise RefusedError unless files may be moved out of a folder, given as a path or a descriptor."""
    at, path = (folder, b".") if isinstance(folder, int) else (None, folder)
    if not os.access(path, os.W_OK | os.X_OK, dir_fd=at, effective_ids=True):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        raise RefusedError(code, os.strerror(code), os.fsdecode(path))


@contextmanager
def opened(inbox: bytes | Path, source: bytes, *, movable: bool = False) -> Iterator[Opened]:
    """Open a regular file below the inbox for reading, without following a link.

    Raises as `open_regular` and `open_folder`; with `movable` also RefusedError if the file cannot be moved
    out of its folder.
    """
    parent, _, name = source.rpartition(b"/")
    folder = open_folder(inbox, parent)
    try:
        if movable:
            refuse_unwritable(folder)
        fd, status = open_regular(name, folder)
    finally:
        os.close(folder)
    try:
        yield Opened(fd, status)
    finally:
        os.close(fd)


def open_regular(path: bytes | Path, folder: int | None = None) -> tuple[int, os.stat_result]:
    """Open a regular file for reading, without following a link at its end or waiting for a FIFO's writer.

    `path` may be relative to the open `folder`; an absolute one may be of any length. Returns the descriptor,
    which the caller closes, and the status. Raises NotRegularError, or another OSError (EACCES, ENOENT ...).
    """
    try:
        fd = _open_file(path, folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotRegularError(error.errno, "is not a regular file", os.fsdecode(path)) from error
        raise
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise NotRegularError(errno.EINVAL, "is not a regular file", os.fsdecode(path))
    return fd, status


def _open_file(path: bytes | Path, folder: int | None) -> int:
    if folder is not None or len(os.fsencode(path)) <= PATH_MAX:
        return os.open(path, _FILE, dir_fd=folder)
    parent, _, name = os.fsencode(path).rpartition(b"/")
    parent_fd = open_any(parent)
    try:
        return os.open(name, _FILE, dir_fd=parent_fd)
    finally:
        os.close(parent_fd)


def open_if_regular(folder: Path, name: str) -> tuple[int, int] | None:
    """Return a descriptor of the regular file `name` in `folder` and its size; None for anything else."""
    try:
        fd, status = open_regular(folder / name)
    except OSError:
        return None
    return fd, status.st_size


def leased(fd: int) -> bool | None:
    """Return whether no process has the open file open for writing, by taking a read lease for a moment.

    None if that cannot be known: on a network file system, or for another user's file without CAP_LEASE.
    `fd` is open for reading only. Source: fcntl(2), "Leases".
    """
    try:
        # A process that opens the file for writing at this moment makes the kernel signal this one. The usual
        # signal for that, SIGIO, would end the process; SIGURG is ignored unless asked for.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def is_written_to(inbox: bytes, source: bytes) -> bool:
    """Return whether a file is open for writing; one that is gone or cannot be opened is not."""
    try:
        with opened(inbox, source) as now:
            return leased(now.fd) is False
    except OSError:
        return False


def lstat_any(path: bytes) -> os.stat_result:
    """Return the status of an absolute path of any length, without following a link at its end.

    Raises OSError.
    """
    if len(path) <= PATH_MAX:
        return os.lstat(path)
    parent, _, name = path.rpartition(b"/")
    folder = open_any(parent)
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)


def lstat_within(inbox: int, path: bytes) -> os.stat_result:
    """Return the status of a path below an open inbox, without following any link. Raises OSError."""
    parent, _, name = path.rpartition(b"/")
    if not parent:
        return os.stat(name, dir_fd=inbox, follow_symlinks=False)
    folder = open_below(os.dup(inbox), parent)
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)
