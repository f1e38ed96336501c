"""Incremental directory scanner; finds the files that events missed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.files.safe_open import open_below, open_folder
from pipeline.watch.stability import FileSnapshot


@dataclass(frozen=True, slots=True)
class ScanCallbacks:
    """Functions that a scan calls; all paths are relative to the inbox."""

    enter: Callable[[int, bytes], None]  # an open folder, before it is listed
    ignored: Callable[[bytes], bool]
    observe: Callable[[FileSnapshot], bool]  # a regular file; False: no room, offer it again later
    skipped: Callable[[bytes, os.stat_result], None]  # neither a regular file nor a folder
    failed: Callable[[bytes, OSError], None]  # a folder or file that cannot be read


class Scanner:
    """Visit folders and all below them, one name at a time, so that a million files need no memory.

    Links are reported as skipped and never followed. The folder being listed stays open between slices;
    memory grows with the number of folders still to be visited.
    """

    def __init__(self, inbox: bytes, callbacks: ScanCallbacks) -> None:
        self._inbox = inbox
        self._callbacks = callbacks
        self._pending: dict[bytes, None] = {}
        self._names: os._ScandirIterator[str] | None = None
        self._folder = b""
        self._fd = -1
        self._last: tuple[bytes, int] | None = None  # the folder listed before, still open
        self._held: FileSnapshot | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is left to visit."""
        return self._names is None and not self._pending

    def push(self, folder: bytes) -> None:
        """Add a folder to visit, with all below it; the empty path is the inbox itself."""
        self._pending[folder] = None

    def advance(self, until: float, clock: Callable[[], float]) -> None:
        """Continue until all is visited, `clock` reaches `until` or `observe` has no room."""
        while not self.idle and self._offer_held():
            self._step()
            if clock() >= until:
                return

    def stop(self) -> None:
        """Drop all that is left to visit."""
        self._pending.clear()
        self._held = None
        self._leave()

    def _step(self) -> None:
        if self._names is None:
            self._enter(self._pending.popitem()[0])
            return
        try:
            entry = next(self._names, None)
        except OSError as error:
            self._callbacks.failed(self._folder, error)
            entry = None
        if entry is None:
            self._leave()
        else:
            self._visit(entry)

    def _enter(self, folder: bytes) -> None:
        try:
            self._fd = self._open(folder)
            self._folder = folder
            self._callbacks.enter(self._fd, folder)
            self._names = os.scandir(self._fd)
        except (FileNotFoundError, NotADirectoryError):
            self._leave()
        except OSError as error:
            self._leave()
            self._callbacks.failed(folder, error)

    def _open(self, folder: bytes) -> int:
        # Relative to its parent if that was listed last, so that a chain of n folders takes n opens, not n *
        # n.
        last, self._last = self._last, None
        if last is None:
            return open_folder(self._inbox, folder)
        path, fd = last
        if folder.startswith(path + b"/"):
            return open_below(fd, folder[len(path) + 1 :])
        os.close(fd)
        return open_folder(self._inbox, folder)

    def _leave(self) -> None:
        if self._names is not None:
            self._names.close()
            self._names = None
        if self._fd >= 0:
            self._close_last()
            self._last, self._fd = (self._folder, self._fd), -1
        if self.idle:
            self._close_last()

    def _close_last(self) -> None:
        if self._last:
            os.close(self._last[1])
            self._last = None

    def _visit(self, entry: os.DirEntry[str]) -> None:
        name = os.fsencode(entry.name)
        path = self._folder + b"/" + name if self._folder else name
        if self._callbacks.ignored(path):
            return
        try:
            if entry.is_dir(follow_symlinks=False):
                self.push(path)
                return
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            self._callbacks.failed(path, error)
            return
        if stat.S_ISREG(status.st_mode):
            self._held = snapshot(path, status)
            self._offer_held()
        else:
            self._callbacks.skipped(path, status)

    def _offer_held(self) -> bool:
        if self._held is not None and self._callbacks.observe(self._held):
            self._held = None
        return self._held is None


def snapshot(path: bytes, status: os.stat_result) -> FileSnapshot:
    """Return the tracker's record of a file's status."""
    return FileSnapshot(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
