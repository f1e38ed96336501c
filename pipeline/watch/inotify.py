"""Collect inotify events as changed paths, and count lost events.

This is the only module that uses watchdog. It calls `InotifyFD`, watchdog's reader of the inotify descriptor,
which is not public: watchdog's observer keeps events in two unbounded queues, loads whole trees into memory
and reports neither lost events nor a lack of watches. `tests/pipeline/watch/test_inotify.py` checks every
private name used here. The handlers only note paths; the worker's thread does the rest.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import NamedTuple, TypeAlias

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

# Without IN_MODIFY and IN_ATTRIB: a writer causes many, and the next look at the file finds the change.
ARRIVALS = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MOVED_TO  # the only event of a file renamed into the folder
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_EXCL_UNLINK
)
"""Events of files that arrive."""

CHANGES = Mask(ARRIVALS | InotifyConstants.IN_MOVED_FROM | InotifyConstants.IN_DELETE)
"""The same, and those of files that leave."""

_LIMITS = {
    errno.EMFILE: "fs.inotify.max_user_instances (or this process's limit of open files)",
    errno.ENOSPC: "fs.inotify.max_user_watches",
}


EventKinds: TypeAlias = Mask


class WatchError(Exception):
    """The kernel cannot report events of a folder; the message says why and what to change."""


class EventBatch(NamedTuple):
    """Paths that events named since the last batch, relative to the inbox."""

    files: list[bytes]
    folders: list[bytes]
    lost: int  # how many times events were lost; only a scan finds what they named


class PendingEvents:
    """A bounded set of paths, shared by the thread that reads events and the one that looks at files."""

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
        """Note that a folder arrived, with all that is in it."""
        self._add(self._folders, path)

    def lose(self) -> None:
        """Note that events were lost."""
        with self._lock:
            self._lost += 1

    def take(self) -> EventBatch:
        """Return what was noted, and forget it."""
        with self._lock:
            batch = EventBatch(list(self._files), list(self._folders), self._lost)
            self._files, self._folders, self._lost = {}, {}, 0
        return batch

    def _add(self, paths: dict[bytes, None], path: bytes) -> None:
        with self._lock:
            if path in paths or len(paths) < self._capacity:
                paths[path] = None
            else:
                self._lost = max(self._lost, 1)


class InotifyWatch(WatchCallback):
    """The inotify watches of one inbox, one for each folder; the scanner adds them.

    The methods of WatchCallback run in watchdog's thread; if one raises, the thread ends and `alive` is
    False. Raises WatchError if the kernel has no inotify instance left.
    """

    def __init__(self, events: PendingEvents, kinds: EventKinds = ARRIVALS) -> None:
        self._events = events
        self._kinds = kinds
        self._lock = threading.Lock()
        self._folders: dict[WatchDescriptor, bytes] = {}
        self._covered: dict[tuple[int, int], WatchDescriptor] = {}
        self._probe: bytes | None = None
        self._seen = threading.Event()
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
        """Number of watched folders."""
        return len(self._covered)

    def cover(self, folder: int, path: bytes) -> None:
        """Watch an open folder whose path relative to the inbox is `path`.

        Call it before the folder is listed, so that no file is missed in between. Raises WatchError.
        """
        status = os.fstat(folder)
        inode = status.st_dev, status.st_ino
        with self._lock:
            watch = self._covered.get(inode)
            if watch is None:
                watch = self._covered[inode] = self._add(folder)
            self._folders[watch] = path

    def expect(self, name: bytes) -> threading.Event:
        """Return an event object that is set when an inotify event names this file."""
        self._seen.clear()
        self._probe = name
        return self._seen

    def stop(self) -> None:
        """End the thread and release the watches."""
        self._reader.stop()
        self._reader.join(5.0)

    def on_event(self, event: InotifyEvent) -> None:
        """Note the path that an event names."""
        if event.name == self._probe:
            self._seen.set()
            return
        with self._lock:
            folder = self._folders.get(event.wd)
        if folder is None or not event.name:
            return
        path = folder + b"/" + event.name if folder else event.name
        (self._events.folder if event.is_directory else self._events.file)(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Scan the folder whose watch is gone: another may have its name or its inode by now."""
        with self._lock:
            folder = self._folders.pop(wd, None)
            self._covered = {inode: watch for inode, watch in self._covered.items() if watch != wd}
        if folder is not None:
            self._events.folder(folder)

    def on_queue_overflow(self) -> None:
        """Note that the kernel dropped events."""
        self._events.lose()

    def _add(self, folder: int) -> WatchDescriptor:
        try:
            # By descriptor, so that the opened folder is watched even if its name leads elsewhere by now.
            path = b"/proc/self/fd/%d" % folder
            watch = self._reader.add_callback(path, self._kinds, self, CallbackId(id(self)))
        except OSError as error:
            raise WatchError(_explain(error)) from error
        if watch == -1:  # watchdog's value for EACCES
            raise WatchError("inotify refuses a folder that this user may not read")
        return watch


def _explain(error: OSError) -> str:
    limit = _LIMITS.get(error.errno or 0)
    if limit is None:
        return f"inotify: {error.strerror or error}"
    return f"inotify limit reached: raise {limit} with sysctl"
