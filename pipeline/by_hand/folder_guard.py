"""Tell files that were deleted from a disk that is not mounted, or a class's folder that was renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator, Mapping

from pipeline.by_hand.memory import Memory
from pipeline.files.folders import FolderError, is_folder
from pipeline.watch.mounts import remote_kind

HANDFUL = 5
"""If more files of a folder are missing at once, others of their age must be there."""

CONFIRM = (
    "if its disk is not mounted, mount it; if you deleted them, make an empty folder in it, "
    "such as `emptied`, and the worker records them as removed"
)


class FolderGuard:
    """Compare the folders under `root` with those of before, by inode; `memory` has these.

    A folder's inode stays when it is renamed. Its device changes when a disk is mounted or unmounted.
    """

    def __init__(self, root: bytes, memory: Memory) -> None:
        self._root = root
        self._memory = memory
        self._start = _id(root)
        self._start_device = self._start[0] if self._start else None
        self._devices: dict[bytes, int] = {}
        self._remote: dict[int, bool] = {}
        self.renamed: dict[bytes, bytes] = {}
        """Folders by their former path, absolute; photos of these are left to `doctor --repair`."""

    def look(self) -> None:
        """Look at the folders before a scan. Raises FolderError if `root` is not the one of the start."""
        if _id(self._root) != self._start:
            raise FolderError(errno.ENOTDIR, "is another folder than at the start", self._root)
        known = {path: status for path in _folders(self._root) if (status := _id(path))}
        by_inode = {inode: path for path, (_, inode) in known.items()}
        before = {os.path.join(self._root, name): inode for name, inode in self._memory.inodes.items()}
        self.renamed = {
            old: new
            for old, inode in before.items()
            if (new := by_inode.get(inode)) is not None and new != old and known.get(old, (0, 0))[1] != inode
        }
        for path, (device, inode) in known.items():
            self._devices.setdefault(path, device)
            if path not in self.renamed and before.get(path) != inode:
                self._memory.inodes[os.path.basename(path)] = inode
                self._memory.save()

    def enter(self, fd: int, path: bytes) -> None:
        """Remember an open folder, at a `path` relative to `root`, on which a disk is mounted."""
        device = os.fstat(fd).st_dev
        if device == self._start_device or path in self._memory.mounts:
            return
        above = _id(os.path.join(self._root, os.path.dirname(path)))
        if above and above[0] != device:
            self._memory.mounts.add(path)
            self._memory.save()

    def is_same_folder(self, folder: bytes) -> bool:
        """Return whether a folder is there, on the device on which it was first seen."""
        status = _id(folder) if is_folder(folder) else None
        return status is not None and self._devices.setdefault(folder, status[0]) == status[0]

    def inodes_last(self, device: int) -> bool:
        """Return whether files of a device keep their inodes; those of shares and FUSE may not."""
        if device not in self._remote:
            self._remote[device] = any(
                remote_kind(path) is not None
                for path in (self._root, *_folders(self._root))
                if (status := _id(path)) and status[0] == device
            )
        return not self._remote[device]

    def doubt(self, folder: bytes, missing: Mapping[int, bytes], oldest: int | None) -> str:
        """Return why missing files of a folder may not have been deleted; empty if they were.

        `missing` has their former paths by the ids of their rows, `oldest` is the lowest id of the folder's
        files that are there. A folder under an unmounted disk is empty, or has newer files alone.
        """
        count = f"{os.fsdecode(folder)}: {len(missing)}"
        if not is_folder(folder):
            return f"{count} files are missing, and so is the folder; {CONFIRM}"
        if not self.is_same_folder(folder):
            other = "and the disk is another one than at the start; mount the right one and restart"
            return f"{count} files are missing, {other}"
        is_confirmed = self._has_empty_folder(folder)
        for mount in self._unmounted(missing.values()):
            if not is_confirmed:
                return f"{count} files are missing, and no disk is mounted at {os.fsdecode(mount)}; {CONFIRM}"
            self._memory.mounts.discard(os.path.relpath(mount, self._root))
            self._memory.save()
        alone = oldest is None or oldest > max(missing)
        if len(missing) > HANDFUL and alone and not is_confirmed:
            return f"{count} files are missing, all at once; {CONFIRM}"
        return ""

    def _unmounted(self, paths: Collection[bytes]) -> list[bytes]:
        """Return the folders above some of the `paths` on which a disk was mounted, and is none now."""
        found = []
        for mount in (os.path.join(self._root, path) for path in sorted(self._memory.mounts)):
            status, above = _id(mount), _id(os.path.dirname(mount))
            is_mounted = status and above and status[0] != above[0]
            if not is_mounted and any(path.startswith(mount + b"/") for path in paths):
                found.append(mount)
        return found

    def _has_empty_folder(self, folder: bytes) -> bool:
        """Return whether a person made an empty folder in a folder; one without its disk is empty too."""
        mounts = {os.path.join(self._root, path) for path in self._memory.mounts}
        try:
            return any(not os.listdir(below) for below in _folders(folder) if below not in mounts)
        except OSError:
            return False


def _folders(root: bytes) -> Iterator[bytes]:
    with os.scandir(root) as entries:
        yield from (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))


def _id(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
