"""When a file in an inbox is complete: pure, with the clock passed in."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

HANDED_OUT_SECONDS = 30.0
LONGEST_REST_SECONDS = 60.0


class FileSnapshot(NamedTuple):
    """What one look at a file saw: path relative to the inbox, and what tells one version from the next."""

    path: bytes
    dev: int
    ino: int
    size: int  # bytes
    mtime_ns: int


class StableFile(NamedTuple):
    """A file that has settled; `first_seen` is the monotonic time of the first look at this inode."""

    sighting: FileSnapshot
    first_seen: float


@dataclass(slots=True)
class _Entry:
    sighting: FileSnapshot
    first_seen: float
    due: float = 0.0
    queued: float = math.inf  # when the heap will next ask about it; never later than `due`
    failures: int = 0


class StabilityTracker:
    """Tell which files have settled. A file has settled when, in this order:

    1. It was seen: by a scan or through an event.
    2. It has since been seen with the same device, inode, size and modification time only. Any difference
       starts its clock again; when the file was modified, by its own account, does not matter.
    3. No event named it either: a hint starts the clock again even when nothing looks different.
    4. That held for `settle_seconds` of the monotonic clock.
    5. It is not resting. A file handed out rests until it is forgotten, or for 30 s; one that could not be
       taken rests for a time that doubles to 60 s. A change or a hint ends the rest and starts the clock.

    At most `capacity` files wait and as many rest; `sight` says no to more, and the scan comes again.
    The times are seconds of a clock that never goes back.
    """

    def __init__(self, settle_seconds: float, capacity: int = 10_000) -> None:
        self._settle = settle_seconds
        self._capacity = capacity
        self._waiting: dict[bytes, _Entry] = {}
        self._resting: dict[bytes, _Entry] = {}
        self._heap: list[tuple[float, bytes]] = []

    @property
    def waiting(self) -> int:
        """How many files are settling."""
        return len(self._waiting)

    @property
    def resting(self) -> int:
        """How many files were handed out, or could not be taken for now."""
        return len(self._resting)

    @property
    def full(self) -> bool:
        """Whether an unknown file would be refused."""
        return len(self._waiting) >= self._capacity

    def sight(self, sighting: FileSnapshot, now: float) -> bool:
        """Take note of a look at a file; False when there is no room to remember it."""
        path = sighting.path
        entry = self._waiting.get(path) or self._resting.get(path)
        if entry is not None and entry.sighting == sighting:
            return True
        if path not in self._waiting and self.full:
            return False
        if entry is None or entry.sighting[1:3] != sighting[1:3]:
            entry = _Entry(sighting, now)
        entry.sighting = sighting
        self._restart(entry, now)
        return True

    def hint(self, path: bytes, now: float) -> None:
        """Start the clock of a known file again, since something happened to it."""
        entry = self._waiting.get(path)
        if entry is None and not self.full:
            entry = self._resting.get(path)
        if entry is not None:
            self._restart(entry, now)

    def has_due(self, now: float) -> bool:
        """Tell whether `due` may have something to hand out."""
        return bool(self._heap) and self._heap[0][0] <= now

    def due(self, now: float, limit: int) -> list[StableFile]:
        """Return at most `limit` settled files, longest settled first; they rest from now on."""
        found: list[StableFile] = []
        while self.has_due(now) and len(found) < limit:
            when, path = heapq.heappop(self._heap)
            entry = self._waiting.get(path) or self._resting.get(path)
            if entry is None or entry.queued != when:
                continue
            entry.queued = math.inf
            if entry.due > now:
                self._ask_at(entry, entry.due)
                continue
            found.append(StableFile(entry.sighting, entry.first_seen))
            self._rest(entry, now + HANDED_OUT_SECONDS)
        return found

    def postpone(self, path: bytes, now: float) -> None:
        """Let a file rest that was due and could not be taken, each time for longer."""
        entry = self._resting.get(path) or self._waiting.get(path)
        if entry is not None:
            rest = max(1.0, self._settle) * 2.0 ** min(entry.failures, 10)
            entry.failures += 1
            self._rest(entry, now + min(rest, LONGEST_REST_SECONDS))

    def knows(self, path: bytes) -> bool:
        """Tell whether a file is settling or resting."""
        return path in self._waiting or path in self._resting

    def forget(self, path: bytes) -> None:
        """Drop a file: it is taken, or gone."""
        self._waiting.pop(path, None)
        self._resting.pop(path, None)

    def clear(self) -> None:
        """Drop all: the folder itself is gone or is another one."""
        self._waiting.clear()
        self._resting.clear()
        self._heap.clear()

    def _restart(self, entry: _Entry, now: float) -> None:
        path = entry.sighting.path
        self._resting.pop(path, None)
        self._waiting[path] = entry
        entry.failures = 0
        self._ask_at(entry, now + self._settle)

    def _rest(self, entry: _Entry, until: float) -> None:
        path = entry.sighting.path
        self._waiting.pop(path, None)
        self._resting.pop(path, None)
        self._resting[path] = entry
        if len(self._resting) > self._capacity:
            del self._resting[next(iter(self._resting))]  # a later scan finds it again
        self._ask_at(entry, until)

    def _ask_at(self, entry: _Entry, due: float) -> None:
        # Only an earlier time needs a new place in the heap: a file touched 10,000 times has one.
        entry.due = due
        if due < entry.queued:
            entry.queued = due
            heapq.heappush(self._heap, (due, entry.sighting.path))
        if len(self._heap) > 1000 + 4 * (len(self._waiting) + len(self._resting)):
            self._sweep()

    def _sweep(self) -> None:
        known = {**self._resting, **self._waiting}
        self._heap = [(entry.queued, path) for path, entry in known.items() if entry.queued < math.inf]
        heapq.heapify(self._heap)
