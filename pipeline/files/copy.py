"""Copy and compare files: durable copies that are checked against what was read.

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
"""How the name of a copy under way begins; see `is_leftover`."""

_ACCESS_LIST = "system.posix_acl_access"
_without: set[int] = set()
"""Devices of which it was said that they do not keep what the user set."""

Identity = tuple[int, int, int, int]
"""Device, inode, size in bytes, mtime in nanoseconds."""


def identity(of: bytes | int) -> Identity:
    """Return the identity of a path, links not followed, or of a descriptor. Raises OSError."""
    found = os.fstat(of) if isinstance(of, int) else os.lstat(of)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def sha256(path: bytes) -> str:
    """Return the SHA-256 of a regular file in hex, read in pieces. Raises OSError, also for other things."""
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
    # The name holds the identity of the source, so what lies there is an older try at this very copy.
    # It is unlinked and not truncated, since it may be a second name of a file that has arrived.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        digest, size = hashlib.sha256(), 0
        while chunk := os.read(descriptor, 1 << 20):
            digest.update(chunk)
            size += len(chunk)
            _write_all(target, chunk)
        _copy_attributes(descriptor, target)
        os.fsync(target)
        # Out of the page cache, so that the disk is read and not our own memory.
        os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(target, 0, os.SEEK_SET)
        if os.fstat(target).st_size != size or _digest(target) != digest.hexdigest():
            raise OSError(errno.EIO, "the copy does not match what was read", temporary)
    finally:
        os.close(target)


def _write_all(target: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(target, view) :]


def _copy_attributes(source: int, target: int) -> None:
    of = os.fstat(source)
    # Shares and FAT know no owners or modes, and only root may give a file away: the bytes count.
    with contextlib.suppress(OSError):
        os.fchown(target, of.st_uid, of.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(target, stat.S_IMODE(of.st_mode))
    _copy_extended(source, target)  # after the mode, since an access list sets that of the group
    os.utime(target, ns=(of.st_atime_ns, of.st_mtime_ns))


def _copy_extended(source: int, target: int) -> None:
    """Copy the user's extended attributes, such as tags, and the access list, as far as both sides know them.

    What cannot be kept is said once for each file system: the bytes count.
    """
    for name in _extended(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            device = os.fstat(target).st_dev
            if device not in _without:
                _without.add(device)
                log.warning(
                    "%s of photos that are copied to this disk cannot be kept: %s (said once)",
                    "access lists" if name == _ACCESS_LIST else "extended attributes",
                    error.strerror,
                )


def _extended(descriptor: int) -> list[str]:
    """List what belongs to the user: labels of security modules are for the target's own rules to set."""
    try:
        names = os.listxattr(descriptor)
    except OSError:  # a file system without any
        return []
    return [name for name in names if name == _ACCESS_LIST or name.startswith("user.")]


def copy_name(of: Identity) -> bytes:
    """Return the name of the copy of this very file: the same for each try, and for each path to it."""
    return TEMPORARY + hashlib.blake2b(b"%r" % (of,), digest_size=8).hexdigest().encode()


def is_leftover(path: bytes) -> bool:
    """Tell by its name whether a file is a copy under way or cut off.

    A copy that is tried again replaces its own leftover; remove others only with `discard_leftover`.
    """
    return os.path.basename(path).startswith(TEMPORARY)


def discard_leftover(leftover: bytes, original: bytes) -> bool:
    """Remove a cut-off copy if `original` holds all its bytes; return whether it did.

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
