"""Move files: never over another, never lost, durable. No other module moves a file.

Paths are absolute and bytes, for names are of any encoding. What the world refuses (no space, no right,
read-only) is an OSError, and the file is then where it was. A name without clash is chosen by
`pipeline.files.naming`; whoever moves must still expect FileExistsError, and choose again.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.files.copy import (
    TEMPORARY,
    Identity,
    copy,
    copy_name,
    discard_leftover,
    identity,
    is_leftover,
    opened,
    sha256,
)
from pipeline.files.folders import FolderError, files_below, is_folder, make_folders, sync_folders
from pipeline.files.naming import destination
from pipeline.permissions import as_usual

__all__ = [
    "TEMPORARY",
    "FolderError",
    "Identity",
    "Probe",
    "SourceChangedError",
    "destination",
    "discard_leftover",
    "files_below",
    "identity",
    "is_folder",
    "is_leftover",
    "left_nothing",
    "make_folders",
    "move",
    "probe_folder",
    "rename",
    "resume",
    "sha256",
    "sync_folders",
]

log = logging.getLogger(__name__)

_PROBE = b".pawsort-probe"
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_FLAG_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_LINK_UNKNOWN = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class SourceChangedError(OSError):
    """A file was written to while it was copied; nothing was moved, and it may be tried again."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a folder can do. `crosses`: files come into it by copy; `free`: bytes left for us."""

    crosses: bool
    free: int


def move(source: bytes, destination: bytes) -> None:
    """Move a file, by copy where `destination` is on another file system, never over anything.

    The caller makes the move durable with `sync_folders` of both folders. Raises FileExistsError (choose
    another name), FileNotFoundError (the source is gone), FolderError (the target's folder is),
    SourceChangedError, or another OSError for what the world refuses; after each the file is where it was.
    """
    try:
        rename(source, destination)
    except OSError as error:
        # st_dev cannot foretell this: a bind mount has the same one, and refuses.
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, destination)


def rename(source: bytes, destination: bytes) -> None:
    """Rename a file inside one file system, never over anything.

    Three ways, by what the file system knows: renameat2(RENAME_NOREPLACE); link and unlink (a kill
    between leaves two names of one file, which `resume` mends); an empty placeholder made with O_EXCL and
    then replaced (a kill between leaves an empty file, which `doctor` reports). Raises as `move`, and
    OSError EXDEV.
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


def resume(source: bytes, destination: bytes, sha256: str | None) -> None:
    """Bring a move that may have been cut off anywhere to its end, durably.

    `sha256` is what the row says, None where the file was never read. The caller knows that no other row owns
    `destination`: equal content there is then our own copy, and the source is removed. Raises
    FileNotFoundError when neither is there, FileExistsError when something else took the destination, and
    else as `move`.
    """
    folder = os.path.dirname(destination)
    if not os.path.lexists(source):
        if not _holds(destination, sha256):
            raise FileNotFoundError(errno.ENOENT, "neither here nor there", source, None, destination)
    elif not os.path.lexists(destination):
        move(source, destination)
    elif not _is_one_entry(source, destination):
        if not _is_our_copy(source, destination, sha256):
            raise _taken(source, destination)
        # Where renames are links, the copy may have a second name.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, copy_name(identity(source))))
        sync_folders([folder])
        os.unlink(source)
    sync_folders(folder for folder in map(os.path.dirname, (destination, source)) if is_folder(folder))


def left_nothing(source: bytes, destination: bytes) -> bool:
    """Tell whether a move that failed left nothing at its destination, not even a part of a copy.

    A disk may refuse to take back what it has just refused to finish. Raises OSError.
    """
    copy = os.path.join(os.path.dirname(destination), copy_name(identity(source)))
    return not (os.path.lexists(destination) or os.path.lexists(copy))


def _is_one_entry(a: bytes, b: bytes) -> bool:
    """Tell whether two paths lead to one name of one file, so that removing either would remove it."""
    if not os.path.samestat(os.lstat(a), os.lstat(b)):
        return False
    one_folder = os.path.samefile(os.path.dirname(a), os.path.dirname(b))
    return os.lstat(a).st_nlink < 2 or (one_folder and os.path.basename(a) == os.path.basename(b))


def _holds(path: bytes, sha256: str | None) -> bool:
    content = _content(path)
    return content is not None and content == (sha256 or content)


def _is_our_copy(source: bytes, destination: bytes, sha256: str | None) -> bool:
    return _holds(destination, sha256) and _content(destination) == _content(source)


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
    with _taken_back(destination):
        os.unlink(source)


def _replace_placeholder(source: bytes, destination: bytes) -> None:
    ours = _create(destination)
    try:
        # Somebody may have written into it, or put another in its place: that one is not ours to replace.
        if identity(destination) != ours:
            raise _taken(source, destination)
        os.rename(source, destination)
    except OSError:
        if os.path.lexists(destination) and identity(destination) == ours:
            os.unlink(destination)
        raise


@contextlib.contextmanager
def _taken_back(path: bytes) -> Iterator[None]:
    """Remove our new `path` again if the source cannot be removed: else each retry would leave one more."""
    try:
        yield
    except OSError:
        os.unlink(path)
        raise


def _copy_across(source: bytes, destination: bytes) -> None:
    # The kernel says EXDEV first; so that no gigabyte is copied to find out:
    if os.path.lexists(destination):
        raise _taken(source, destination)
    folder = os.path.dirname(destination)
    with opened(source) as descriptor:
        before = identity(descriptor)
        temporary = os.path.join(folder, copy_name(before))
        try:
            copy(descriptor, temporary)
            if identity(source) != before:
                raise SourceChangedError(errno.EBUSY, "changed while it was copied", source)
            rename(temporary, destination)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    with _taken_back(destination):
        sync_folders([folder])
        _unlink_if(source, before)


def _unlink_if(source: bytes, copied: Identity) -> None:
    with contextlib.suppress(FileNotFoundError):
        if identity(source) == copied:
            os.unlink(source)
        else:
            log.warning("%s was replaced after it was copied; the new file stays", os.fsdecode(source))


def probe_folder(folder: bytes, spool: bytes) -> Probe:
    """Try with real files whether `folder` takes files from `spool` and keeps what it has.

    Makes `folder` and its parents if they are missing. The names are always the same, so that what a killed
    probe left is found by the next. Raises FolderError if `folder` is a file, OSError if it cannot be written
    to, or if its file system cannot rename without overwriting.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise FolderError(errno.ENOTDIR, "expected a folder, found a file", folder)
    if not os.path.isdir(folder):
        os.makedirs(folder)
        as_usual(folder, 0o777)
    source, target = os.path.join(spool, _PROBE), os.path.join(folder, _PROBE)
    left = (source, target, target + b"-2")
    _remove_empty(left)
    try:
        crosses = _try_rename(source, target)
        _create(source if not crosses else target + b"-2")
        _expect_refusal(source if not crosses else target + b"-2", target)
    finally:
        _remove_empty(left)
    free = os.statvfs(folder)
    return Probe(crosses, free.f_bavail * free.f_frsize)


def _remove_empty(paths: Iterable[bytes]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(path).st_size == 0:
                os.unlink(path)


def _try_rename(source: bytes, target: bytes) -> bool:
    _create(source)
    try:
        rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _create(target)
        return True
    return False


def _expect_refusal(source: bytes, target: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        rename(source, target)
        raise OSError(errno.ENOTSUP, "the file system renames over existing files", target)


def _taken(source: bytes, destination: bytes) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, destination)


def _create(path: bytes) -> Identity:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        return identity(descriptor)
    finally:
        os.close(descriptor)


def _content(path: bytes) -> str | None:
    return sha256(path) if os.path.isfile(path) and not os.path.islink(path) else None
