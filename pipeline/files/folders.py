"""Make folders, and make changes in them durable.

Paths are absolute and bytes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from pipeline.files.permissions import as_usual

SYSTEM_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV,
}  # fmt: skip
"""Errors that affect every file (disk full, read-only); any other concerns one file only."""

PATH_MAX = 4095
"""Bytes of the longest path that one call of the system accepts."""

_TRIAL = b".pawsort-trial"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FolderError(OSError):
    """The destination folder is missing, a file or a link; the files stay where they are."""


def is_folder(path: bytes) -> bool:
    """Return whether `path` is a folder and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def files_below(folder: bytes, on_error: Callable[[OSError], object]) -> Iterator[bytes]:
    """Yield each regular file at any depth without following links or loading whole listings.

    Calls `on_error` for a folder that cannot be listed; ignores one that is gone.
    """
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path
        except FileNotFoundError:
            continue
        except OSError as error:
            on_error(error)


def make_folders(folder: bytes, root: bytes) -> None:
    """Make `folder` and its missing parents below `root`, the folder of a class, durably.

    Does not make `root` if its own parent is missing: its disk may not be mounted. Raises FolderError if the
    parent of `root` is missing or `root` is a file or a link, and FileExistsError if a file or a link has the
    name of a folder below `root` (choose another destination).
    """
    if not is_folder(root):
        _make_root(root)
    if folder == root:
        return
    path = root
    for part in os.path.relpath(folder, root).split(b"/"):
        if part == b"..":
            raise ValueError(f"{folder!r} is not in {root!r}")
        path = path if part == b"." else os.path.join(path, part)
        _make_folder(path)


def _make_root(root: bytes) -> None:
    if os.path.lexists(root):
        raise FolderError(errno.ENOTDIR, "expected a folder, found a file or a link; move it away", root)
    if not os.path.isdir(os.path.dirname(root)):
        raise FolderError(
            errno.ENOENT, "folder is missing; make it, or mount its disk", os.path.dirname(root)
        )
    _make_folder(root)


def _make_folder(path: bytes) -> None:
    if is_folder(path):
        return
    try:
        os.mkdir(path)
        as_usual(path, 0o777)
    except FileExistsError:
        if not is_folder(path):
            raise
    sync_folders([os.path.dirname(path)])


def try_name(folder: bytes, name: bytes = _TRIAL) -> None:
    """Test whether `folder` accepts this name, by making and removing an empty folder.

    It makes a folder because a file left by a kill would look like a photo. Raises OSError if refused.
    """
    path = os.path.join(folder, name)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if name != _TRIAL:
            return
    os.rmdir(path)


def refused_part(path: bytes, root: bytes) -> int | None:
    """Return which part of `path`, counted from its end as -1, -2 ..., is a name that the folder refuses.

    None if the name is not the cause. Raises OSError, with the path in `filename`, if the deepest existing
    folder on the way accepts no name at all.
    """
    folder = os.path.dirname(path)
    while folder != root and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    parts = path[len(folder) + 1 :].split(b"/")
    try_name(folder)
    try:
        try_name(folder, parts[0])
    except OSError as error:
        if error.errno in SYSTEM_ERRNOS:
            raise
        return -len(parts)
    return None


def sync_folders(folders: Iterable[bytes]) -> None:
    """Make renames in `folders` durable: fsync each distinct one, in the order given. Raises OSError."""
    for folder in dict.fromkeys(folders):
        try:
            descriptor = open_any(folder)
        except FileNotFoundError:
            continue  # another program removed the folder, so nothing is left to sync
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Network shares that cannot sync a folder raise these; they sync on their own.
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        finally:
            os.close(descriptor)


def open_any(folder: bytes) -> int:
    """Open a folder, even if its path is longer than one call accepts.

    Returns its descriptor, which the caller closes. Raises OSError.
    """
    if len(folder) <= PATH_MAX:
        return os.open(folder, _FOLDER)
    fd, parts = os.open(b"/", _FOLDER), folder.strip(b"/").split(b"/")
    while parts:
        # 15 names of at most 255 bytes, and the slashes between them, are never too long.
        step, parts = b"/".join(parts[:15]), parts[15:]
        try:
            inner = os.open(step, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd
