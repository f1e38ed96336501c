"""Move files: never over another, never lost, durable. Other packages move files only through this module.

Paths are absolute, and bytes because names have any encoding. A refused move (no space, no permission,
read-only) raises OSError and leaves the file where it was. `pipeline.files.naming` chooses a free name; the
caller must still expect FileExistsError and choose again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterable
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
from pipeline.files.permissions import as_usual
from pipeline.files.renames import create_empty, rename, taken, undone_on_error
from pipeline.files.safe_open import NotRegularError

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
    "move_link",
    "probe_folder",
    "rename",
    "resume",
    "sha256",
    "sync_folders",
]

log = logging.getLogger(__name__)

_PROBE = b".pawsort-probe"


class SourceChangedError(OSError):
    """A file was written to while it was copied; nothing was moved, and the caller may retry."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Properties of a folder. `crosses`: files are copied into it; `free`: bytes that this user may write."""

    crosses: bool
    free: int


def move(source: bytes, destination: bytes) -> None:
    """Move a file, by copy if `destination` is on another file system; never over another file.

    The caller makes the move durable with `sync_folders` of both folders. Raises FileExistsError (choose
    another name), FileNotFoundError (the source is gone), FolderError (the target's folder is gone),
    SourceChangedError, or another OSError if the system refuses; after each the file is where it was.
    """
    try:
        rename(source, destination)
    except OSError as error:
        # Comparing st_dev would not predict this: a bind mount has the same one and refuses.
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, destination)


def move_link(source: bytes, destination: bytes, target: bytes) -> None:
    """Move a symbolic link to `target`, as `move` does for files; raises as that does."""
    try:
        rename(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if _content(source) != target:
            raise NotRegularError(errno.ELOOP, "is not the link that was made", source) from error
        _link_across(source, destination, target)


def resume(source: bytes, destination: bytes, evidence: str | bytes | None) -> None:
    """Finish a move that was interrupted at any point, durably.

    `evidence` comes from the row: the SHA-256, or the target of a symbolic link; None if the file was never
    read. The caller has checked that no other row
    owns `destination`: equal content there is the copy of this move, so the source is removed. Raises
    FileNotFoundError if neither exists, FileExistsError if another file took the destination, and otherwise
    as `move`.
    """
    folder = os.path.dirname(destination)
    if not os.path.lexists(source):
        if not _holds(destination, evidence):
            raise FileNotFoundError(errno.ENOENT, "neither here nor there", source, None, destination)
    elif not os.path.lexists(destination):
        if isinstance(evidence, bytes):
            move_link(source, destination, evidence)
        else:
            move(source, destination)
    elif not _is_one_entry(source, destination):
        if not _is_our_copy(source, destination, evidence):
            raise taken(source, destination)
        # If `rename` used a link, the copy may have a second name.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, copy_name(identity(source))))
        sync_folders([folder])
        os.unlink(source)
    sync_folders(folder for folder in map(os.path.dirname, (destination, source)) if is_folder(folder))


def left_nothing(source: bytes, destination: bytes) -> bool:
    """Return whether a failed move left nothing at its destination, not even a part of a copy.

    A disk may refuse the clean-up as it refused the move. Raises OSError.
    """
    copy = os.path.join(os.path.dirname(destination), copy_name(identity(source)))
    return not (os.path.lexists(destination) or os.path.lexists(copy))


def _is_one_entry(a: bytes, b: bytes) -> bool:
    """Return whether two paths lead to one name of one file, so that removing either removes both."""
    if not os.path.samestat(os.lstat(a), os.lstat(b)):
        return False
    one_folder = os.path.samefile(os.path.dirname(a), os.path.dirname(b))
    return os.lstat(a).st_nlink < 2 or (one_folder and os.path.basename(a) == os.path.basename(b))


def _holds(path: bytes, evidence: str | bytes | None) -> bool:
    content = _content(path)
    return content == evidence if evidence is not None else isinstance(content, str)


def _is_our_copy(source: bytes, destination: bytes, evidence: str | bytes | None) -> bool:
    return _holds(destination, evidence) and _content(destination) == _content(source)


def _copy_across(source: bytes, destination: bytes) -> None:
    # The kernel reports EXDEV first, so check now instead of after copying a large file.
    if os.path.lexists(destination):
        raise taken(source, destination)
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
    with undone_on_error(destination):
        sync_folders([folder])
        _unlink_if(source, before)


def _link_across(source: bytes, destination: bytes, target: bytes) -> None:
    before = identity(source)
    os.symlink(target, destination)  # FileExistsError if there is something
    with undone_on_error(destination):
        sync_folders([os.path.dirname(destination)])
        _unlink_if(source, before)


def _unlink_if(source: bytes, copied: Identity) -> None:
    with contextlib.suppress(FileNotFoundError):
        if identity(source) == copied:
            os.unlink(source)
        else:
            log.warning("%s was replaced after it was copied; keeping the new file", os.fsdecode(source))


def probe_folder(folder: bytes, spool: bytes) -> Probe:
    """Test with real files whether `folder` accepts files from `spool` and refuses to overwrite.

    Makes `folder` and its parents if they are missing. The names are fixed, so that the next probe finds what
    a killed one left. Raises FolderError if `folder` is a file, OSError if it cannot be written to or if its
    file system cannot rename without overwriting.
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
        create_empty(source if not crosses else target + b"-2")
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
    create_empty(source)
    try:
        rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        create_empty(target)
        return True
    return False


def _expect_refusal(source: bytes, target: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        rename(source, target)
        raise OSError(errno.ENOTSUP, "the file system renames over existing files", target)


def _content(path: bytes) -> str | bytes | None:
    """Return the SHA-256 of a file or the target of a symbolic link; None for anything else."""
    if os.path.islink(path):
        return os.readlink(path)
    return sha256(path) if os.path.isfile(path) else None
