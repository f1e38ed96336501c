"""Make folders and make what happened in them durable.

Paths are absolute and bytes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from pipeline.permissions import as_usual

SYSTEM_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV,
}  # fmt: skip
"""Errors that affect every file (disk full, read-only); any other is about one file, and harms no other."""

_TRIAL = b".pawsort-trial"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FolderError(OSError):
    """A folder that should take files is missing, a file or a link; the files stay where they are."""


def is_folder(path: bytes) -> bool:
    """Tell whether `path` is a folder and not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def files_below(folder: bytes, trouble: Callable[[OSError], object]) -> Iterator[bytes]:
    """Yield each regular file at any depth, links not followed, without holding the names of a folder.

    A folder that cannot be listed is told to `trouble` and passed over; one that is gone is nothing.
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
            trouble(error)


def make_folders(folder: bytes, root: bytes) -> None:
    """Make `folder` and what is missing between it and `root`, durably. `root` is a class's folder.

    A root whose own parent is missing is not made: its disk may not be mounted. Raises FolderError when
    `root` is or would be in no folder, or is a file or a link (the world is bad), and FileExistsError when
    something that is no folder stands below it (choose another destination).
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
    """Try whether `folder` takes something of this name, by an empty folder that is removed again.

    A folder and not a file, because a file left by a kill would look like a photo. Raises what it is refused
    with.
    """
    path = os.path.join(folder, name)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if name != _TRIAL:
            return
    os.rmdir(path)


def refused_part(path: bytes, root: bytes) -> int | None:
    """Return which part of `path`, counted from its end as -1, -2 ..., is a name that cannot be given here.

    None if the name is not to blame. Raises OSError if the last folder on the way that is there takes nothing
    at all, whatever its name; its path is in `filename`.
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
            descriptor = _open(folder)
        except FileNotFoundError:
            continue  # somebody tidied up behind us: a folder that is gone has nothing to keep
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Network shares that cannot sync a folder say so with these; they sync on their own.
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        finally:
            os.close(descriptor)


def _open(folder: bytes) -> int:
    """Open a folder, also where its path is longer than the 4,095 bytes that the kernel takes at once."""
    if len(folder) < 4096:
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
