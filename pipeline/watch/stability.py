"""Decide when a file in an inbox is complete. Pure: the clock is passed in."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.companions.names import NameIndex

RETURNED_SECONDS = 30.0
LONGEST_REST_SECONDS = 60.0


class FileSnapshot(NamedTuple):
    """A file's path relative to the inbox, and the fields that differ between versions of the file."""

    path: bytes
    dev: int
    ino: int
    size: int  # bytes
    mtime_ns: int


class StableFile(NamedTuple):
    """A settled file; `first_seen` is the monotonic time at which this inode was first seen."""

    snapshot: FileSnapshot
    first_seen: float


@dataclass(slots=True)
class _Entry:
    snapshot: FileSnapshot
    first_seen: float
    due: float = 0.0
    queued: float = math.inf  # its earliest time in the heap; never later than `due`
    failures: int = 0
    held: bool = False  # has settled, and waits for another file


class StabilityTracker:
    """Track which files have settled. A file has settled when, in this order:

    1. A scan or an event has found it.
    2. Each later look found the same device, inode, size and modification time. Any difference restarts its
       clock; the value of the modification time does not matter.
    3. No event named it: an event restarts the clock even if nothing looks different.
    4. Both held for `settle_seconds` of the monotonic clock.
    5. It is not resting. A file that `due` returned rests until it is forgotten, or for 30 s; one that could
       not be taken rests for a time that doubles up to 60 s. A change or an event ends the rest and restarts
       the clock.

    At most `capacity` files wait and as many rest; `observe` refuses more, and a later scan offers them
    again. All times are seconds of a monotonic clock. `names`, if given, has the paths of all that it tracks.
    """

    def __init__(self, settle_seconds: float, capacity: int = 10_000, names: NameIndex | None = None) -> None:
        self._settle = settle_seconds
        self._capacity = capacity
        self._waiting: dict[bytes, _Entry] = {}
        self._resting: dict[bytes, _Entry] = {}
        self._heap: list[tuple[float, bytes]] = []
        self._names = names

    @property
    def waiting(self) -> int:
        """Number of files that are settling."""
        return len(self._waiting)

    @property
    def resting(self) -> int:
        """Number of files that `due` returned, or that could not be taken."""
        return len(self._resting)

    @property
    def full(self) -> bool:
        """Whether `observe` would refuse an unknown file."""
        return len(self._waiting) >= self._capacity

    def observe(self, snapshot: FileSnapshot, now: float) -> bool:
        """Record the state of a file; return False if there is no room for it."""
        path = snapshot.path
        entry = self._waiting.get(path) or self._resting.get(path)
        if entry is not None and entry.snapshot == snapshot:
            return True
        if path not in self._waiting and self.full:
            return False
        if entry is None and self._names is not None:
            self._names.add(path)
        if entry is None or entry.snapshot[1:3] != snapshot[1:3]:
            entry = _Entry(snapshot, now)
        entry.snapshot = snapshot
        self._restart(entry, now)
        return True

    def touch(self, path: bytes, now: float) -> None:
        """Restart the clock of a known file, because an event named it."""
        entry = self._waiting.get(path)
        if entry is None and not self.full:
            entry = self._resting.get(path)
        if entry is not None:
            self._restart(entry, now)

    def has_due(self, now: float) -> bool:
        """Return whether `due` may return something."""
        return bool(self._heap) and self._heap[0][0] <= now

    def due(self, now: float, limit: int) -> list[StableFile]:
        """Return at most `limit` settled files, the longest settled first, and let them rest."""
        found: list[StableFile] = []
        while self.has_due(now) and len(found) < limit:
            when, path = heapq.heappop(self._heap)
            entry = self._waiting.get(path) or self._resting.get(path)
            if entry is None or entry.queued != when:
                continue
            entry.queued = math.inf
            if entry.due > now:
                self._schedule(entry, entry.due)
                continue
            found.append(StableFile(entry.snapshot, entry.first_seen))
            self._rest(entry, now + RETURNED_SECONDS)
        return found

    def postpone(self, path: bytes, now: float) -> None:
        """Let a file rest that was due and could not be taken; each time for longer."""
        entry = self._resting.get(path) or self._waiting.get(path)
        if entry is not None:
            rest = max(1.0, self._settle) * 2.0 ** min(entry.failures, 10)
            entry.failures += 1
            self._rest(entry, now + min(rest, LONGEST_REST_SECONDS))

    def hold(self, path: bytes, until: float) -> None:
        """Let a file that was due wait until a time, counted among those that are settling."""
        if (entry := self._resting.pop(path, None)) is not None:
            self._waiting[path] = entry
            entry.held = True
            self._schedule(entry, until)

    def settles_at(self, path: bytes) -> float:
        """Return the time at which a file that is settling will have settled; 0 for any other."""
        entry = self._waiting.get(path)
        return 0.0 if entry is None or entry.held else entry.due

    def knows(self, path: bytes) -> bool:
        """Return whether a file is settling or resting."""
        return path in self._waiting or path in self._resting

    def forget(self, path: bytes) -> None:
        """Drop a file that was taken or is gone."""
        self._waiting.pop(path, None)
        self._resting.pop(path, None)
        if self._names is not None:
            self._names.remove(path)

    def clear(self) -> None:
        """Drop all files, because the inbox is gone or is another folder."""
        self._waiting.clear()
        self._resting.clear()
        self._heap.clear()
        if self._names is not None:
            self._names.clear()

    def _restart(self, entry: _Entry, now: float) -> None:
        path = entry.snapshot.path
        self._resting.pop(path, None)
        self._waiting[path] = entry
        entry.failures = 0
        entry.held = False
        self._schedule(entry, now + self._settle)

    def _rest(self, entry: _Entry, until: float) -> None:
        path = entry.snapshot.path
        self._waiting.pop(path, None)
        self._resting.pop(path, None)
        self._resting[path] = entry
        if len(self._resting) > self._capacity:
            self.forget(next(iter(self._resting)))  # a later scan finds it again
        self._schedule(entry, until)

    def _schedule(self, entry: _Entry, due: float) -> None:
        # Only an earlier time needs a new entry in the heap: a file touched 10,000 times has one.
        entry.due = due
        if due < entry.queued:
            entry.queued = due
            heapq.heappush(self._heap, (due, entry.snapshot.path))
        if len(self._heap) > 1000 + 4 * (len(self._waiting) + len(self._resting)):
            self._sweep()

    def _sweep(self) -> None:
        known = {**self._resting, **self._waiting}
        self._heap = [(entry.queued, path) for path, entry in known.items() if entry.queued < math.inf]
        heapq.heapify(self._heap)
