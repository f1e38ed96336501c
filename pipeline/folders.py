"""Make folders and make what happened in them durable.

Paths are absolute and bytes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from pipeline.permissions import as_usual


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


def sync_folders(folders: Iterable[bytes]) -> None:
    """Make renames in `folders` durable: fsync each distinct one, in the order given. Raises OSError."""
    for folder in dict.fromkeys(folders):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
