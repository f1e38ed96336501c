"""Copy and compare files: durable copies that are read back and compared with their source.

Paths are absolute and bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
from collections.abc import Iterator

from pipeline.files.safe_open import open_regular

log = logging.getLogger(__name__)

TEMPORARY = b".pawsort-incoming-"
"""Prefix of the name of an unfinished copy; see `is_leftover`."""

_ACCESS_LIST = "system.posix_acl_access"
_without: set[int] = set()
"""Devices for which the loss of extended attributes was logged."""

Identity = tuple[int, int, int, int]
"""Device, inode, size in bytes, mtime in nanoseconds."""


def identity(of: bytes | int) -> Identity:
    """Return the identity of a path, without following links, or of a descriptor. Raises OSError."""
    found = os.fstat(of) if isinstance(of, int) else os.lstat(of)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sha256(path: bytes) -> str:
    """Return the SHA-256 of a regular file in hex. Raises OSError, also for anything but a regular file."""
    with opened(path) as descriptor:
        return _digest(descriptor)


@contextlib.contextmanager
def opened(path: bytes) -> Iterator[int]:
    """Open a regular file for reading, as a descriptor. Raises as `open_regular`."""
    descriptor, _ = open_regular(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(descriptor, 1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def copy(descriptor: int, temporary: bytes) -> None:
    """Write a durable copy of an open file, with its owner, mode, access list and times, and read it back.

    `temporary` comes from `copy_name`. Raises OSError; EIO if the copy is not what was read.
    """
    # The name contains the identity of the source, so a file of this name is an earlier try at this copy.
    # It is unlinked and not truncated, because it may be a second name of a file that has arrived.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        digest, size = hashlib.sha256(), 0
        while chunk := os.read(descriptor, 1 << 20):
            digest.update(chunk)
            size += len(chunk)
            _write_all(target, chunk)
        copy_attributes(descriptor, target)
        os.fsync(target)
        # Drop the pages from the cache, so that the check below reads the disk.
        os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(target, 0, os.SEEK_SET)
        if os.fstat(target).st_size != size or _digest(target) != digest.hexdigest():
            raise OSError(errno.EIO, "the copy does not match what was read", temporary)
    except OSError as error:
        if error.filename is None:  # calls on a descriptor do not say where
            error.filename = os.fsdecode(os.path.dirname(temporary))
        raise
    finally:
        os.close(target)


def copy_quickly(descriptor: int, temporary: bytes) -> None:
    """Write a copy of an open file in the kernel, with its attributes; the caller makes it durable.

    For a file that stays, so that nothing need be read back. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _copy_range(descriptor, target)
        copy_attributes(descriptor, target)
        # Begin to write, so that a later fsync of many copies waits once for all of them.
        os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(target)


def _copy_range(source: int, target: int) -> None:
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    # Where the kernel cannot, or says that there is nothing, as of some virtual files.
    while chunk := os.read(source, 1 << 20):
        _write_all(target, chunk)


def _write_all(target: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(target, view) :]


def copy_attributes(source: int, target: int) -> None:
    """Give an open file the owner, mode, access list and times of another, as far as its disk has them."""
    of = os.fstat(source)
    # Shares and FAT have no owners or modes, and only root may change an owner: copy the content anyway.
    with contextlib.suppress(OSError):
        os.fchown(target, of.st_uid, of.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(target, stat.S_IMODE(of.st_mode))
    _copy_extended(source, target)  # after the mode, because an access list sets the group's mode
    os.utime(target, ns=(of.st_atime_ns, of.st_mtime_ns))


def _copy_extended(source: int, target: int) -> None:
    """Copy the user's extended attributes, such as tags, and the access list, if both file systems have them.

    Logs once for each file system if they cannot be kept; the copy is made anyway.
    """
    for name in _extended(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            device = os.fstat(target).st_dev
            if device not in _without:
                _without.add(device)
                log.warning(
                    "cannot keep %s of photos copied to this disk: %s (logged once)",
                    "access lists" if name == _ACCESS_LIST else "extended attributes",
                    error.strerror,
                )


def _extended(descriptor: int) -> list[str]:
    """List the user's attributes; the target's own rules set labels of security modules."""
    try:
        names = os.listxattr(descriptor)
    except OSError:  # a file system without any
        return []
    return [name for name in names if name == _ACCESS_LIST or name.startswith("user.")]


def copy_name(of: Identity) -> bytes:
    """Return the name for the copy of a file: the same for each try and for each path to it."""
    return TEMPORARY + hashlib.blake2b(b"%r" % (of,), digest_size=8).hexdigest().encode()


def is_leftover(path: bytes) -> bool:
    """Return whether a file is an unfinished copy, by its name.

    A retried copy replaces its own leftover; remove others only with `discard_leftover`.
    """
    return os.path.basename(path).startswith(TEMPORARY)


def discard_leftover(leftover: bytes, original: bytes) -> bool:
    """Remove an unfinished copy if `original` begins with all its bytes; return whether it was removed.

    Raises OSError if either cannot be read.
    """
    with (
        opened(leftover) as copied,
        opened(original) as kept,
        open(copied, "rb", closefd=False) as copy,
        open(kept, "rb", closefd=False) as whole,
    ):
        while chunk := copy.read(1 << 20):
            if whole.read(len(chunk)) != chunk:
                return False
    os.unlink(leftover)
    return True
