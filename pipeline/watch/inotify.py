"""Events as hints: what the kernel says has happened in an inbox, and how much of it was lost.

watchdog's reader of inotify calls `InotifyWatch` directly, without watchdog's observer in between: that keeps
events in two queues without bound, walks whole trees into memory, and tells nobody when the kernel lost
events or ran out of watches. A handler here only notes a path; the worker's thread does the rest.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import NamedTuple

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

# Neither IN_MODIFY nor IN_ATTRIB: the next look at a file sees what they say, and a writer makes many.
_EVENTS = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO  # all that a file renamed or linked in raises
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_EXCL_UNLINK
)

_LIMITS = {
    errno.EMFILE: "fs.inotify.max_user_instances (or this process's limit of open files)",
    errno.ENOSPC: "fs.inotify.max_user_watches",
}


class WatchError(Exception):
    """The kernel will not tell what happens in a folder; the message says why and what to change."""


class EventBatch(NamedTuple):
    """What was hinted at since the last look: paths relative to the inbox."""

    files: list[bytes]
    folders: list[bytes]
    lost: int  # how many times events were lost; what they said, only a scan can tell


class PendingEvents:
    """A bounded set of paths between the thread that hears of them and the one that looks at them."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._files: dict[bytes, None] = {}
        self._folders: dict[bytes, None] = {}
        self._lost = 0

    def file(self, path: bytes) -> None:
        """Note that something happened to a file."""
        self._add(self._files, path)

    def folder(self, path: bytes) -> None:
        """Note that a folder came, with whatever is in it."""
        self._add(self._folders, path)

    def lose(self) -> None:
        """Note that events were lost."""
        with self._lock:
            self._lost += 1

    def take(self) -> EventBatch:
        """Return what was noted, and start afresh."""
        with self._lock:
            taken = EventBatch(list(self._files), list(self._folders), self._lost)
            self._files, self._folders, self._lost = {}, {}, 0
        return taken

    def _add(self, paths: dict[bytes, None], path: bytes) -> None:
        with self._lock:
            if path in paths or len(paths) < self._capacity:
                paths[path] = None
            else:
                self._lost = max(self._lost, 1)


class InotifyWatch(WatchCallback):
    """The inotify watches of one inbox, one for each folder, set by whoever walks the folders.

    The methods of WatchCallback run in watchdog's thread; if one raises, the thread ends and `alive` says so.
    Raises WatchError when the kernel has no inotify instance to give.
    """

    def __init__(self, hints: PendingEvents) -> None:
        self._hints = hints
        self._lock = threading.Lock()
        self._folders: dict[WatchDescriptor, bytes] = {}
        self._covered: dict[tuple[int, int], WatchDescriptor] = {}
        self._probe: bytes | None = None
        self._heard = threading.Event()
        try:
            self._reader = InotifyFD()
        except OSError as error:
            raise WatchError(_explain(error)) from error
        self._reader.name = "inotify"
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether events are still being read."""
        return self._reader.is_alive()

    @property
    def folders(self) -> int:
        """How many folders are watched."""
        return len(self._covered)

    def cover(self, folder: int, path: bytes) -> None:
        """Watch an open folder, known from now on by this path relative to the inbox.

        Call it before the folder is listed, so that nothing falls in between. Raises WatchError.
        """
        status = os.fstat(folder)
        inode = status.st_dev, status.st_ino
        with self._lock:
            watch = self._covered.get(inode)
            if watch is None:
                watch = self._covered[inode] = self._add(folder)
            self._folders[watch] = path

    def expect(self, name: bytes) -> threading.Event:
        """Return what is set as soon as an event names this file."""
        self._heard.clear()
        self._probe = name
        return self._heard

    def stop(self) -> None:
        """End the thread and give the watches back."""
        self._reader.stop()
        self._reader.join(5.0)

    def on_event(self, event: InotifyEvent) -> None:
        """Note the path that an event names."""
        if event.name == self._probe:
            self._heard.set()
            return
        with self._lock:
            folder = self._folders.get(event.wd)
        if folder is None or not event.name:
            return
        path = folder + b"/" + event.name if folder else event.name
        (self._hints.folder if event.is_directory else self._hints.file)(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Have a folder looked at whose watch is gone: another may have its name or its inode by now."""
        with self._lock:
            folder = self._folders.pop(wd, None)
            self._covered = {inode: watch for inode, watch in self._covered.items() if watch != wd}
        if folder is not None:
            self._hints.folder(folder)

    def on_queue_overflow(self) -> None:
        """Note that the kernel threw events away."""
        self._hints.lose()

    def _add(self, folder: int) -> WatchDescriptor:
        try:
            # By descriptor, so that what is watched is what was opened, whatever its name leads to by now.
            path = b"/proc/self/fd/%d" % folder
            watch = self._reader.add_callback(path, _EVENTS, self, CallbackId(id(self)))
        except OSError as error:
            raise WatchError(_explain(error)) from error
        if watch == -1:  # watchdog's way to say EACCES
            raise WatchError("inotify refuses a folder that this user may not read")
        return watch


def _explain(error: OSError) -> str:
    limit = _LIMITS.get(error.errno or 0)
    if limit is None:
        return f"inotify: {error.strerror or error}"
    return f"inotify limit reached: raise {limit} with sysctl"
