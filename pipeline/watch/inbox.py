"""The edge where files arrive: events and walks in, settled arrivals out.

Events are hints; what counts is the walk at the start, every `rescan_seconds`, and at once after events
were lost, their reader died or the inbox became another folder. No user's file is opened, moved or deleted.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.schema.records import SettledFile
from pipeline.config import WatchSettings
from pipeline.files.safe_open import lstat_within
from pipeline.watch.ignore_rules import ignorer, within
from pipeline.watch.mode import InboxWatcher
from pipeline.watch.refused_folders import Refusals, Verb
from pipeline.watch.scanner import ScanCallbacks, Scanner, sighting
from pipeline.watch.skipped_entries import SkippedEntries
from pipeline.watch.stability import FileSnapshot, StabilityTracker, StableFile
from pipeline.worker.held_file import InProgressFile

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.03  # what one poll may spend on hints, and again on the walk
REBUILD_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class InboxStatus:
    """How an inbox is doing: `state` is watching, polling or missing; `note` says why if not watching."""

    path: Path
    state: str
    degraded: bool
    note: str
    settling: int  # files whose quiet time is running
    resting: int  # files handed out, or not to be had for now
    scanning: bool
    scans: int  # walks through the whole inbox that were finished
    lost_events: int  # times that events were lost
    odd: int  # links, FIFOs, sockets, devices and unreadable entries that were reported
    unlisted: int = 0  # folders and entries that the last scan could not look at
    refused: int = 0  # files that may not be read or moved
    refusals: tuple[str, ...] = ()  # which folders these are in, and why


class Inbox:
    """Watch one inbox. `start`, then `poll` for ever from one thread, then `stop`.

    The worker tells what became of each arrival: `forget` when it was taken or is gone, `postpone` when it
    cannot be had for now, `refuse` when it may not be read or moved. Times are seconds of `clock`, which
    never goes back.
    """

    def __init__(
        self,
        path: Path,
        settings: WatchSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        capacity: int = 10_000,
    ) -> None:
        self.path = path
        self._root = os.fsencode(path)
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._ignored = ignorer(settings.ignore, self._root)
        self._tracker = StabilityTracker(settings.settle_seconds, capacity)
        self._oddities = SkippedEntries(path)
        self._refusals = Refusals[bytes]()
        self._watcher = InboxWatcher(path, settings.mode)
        self._hinted: list[bytes] = []
        self._walk = Scanner(
            self._root,
            ScanCallbacks(self._watcher.cover, self._ignored, self._take, self._oddities.kind, self._trouble),
        )
        self._inode: tuple[int, int] | None = None
        self._mounted = False
        self._now = 0.0
        self._scanning = False
        self._scan_again = False
        self._scan_at = 0.0
        self._scan_began = 0.0
        self._rebuild_at = 0.0
        self._missing = ""
        self._scans = 0
        self._lost = 0
        self._troubles = 0  # of the scan under way
        self._unlisted = 0

    def start(self) -> None:
        """Begin to watch, then to scan; an inbox that is not there is waited for."""
        self._look_at_root()

    def poll(self, now: float | None = None, limit: int = 256) -> list[SettledFile]:
        """Return at most `limit` files that have settled since, and go on with the walk for a moment."""
        now = self._clock() if now is None else now
        self._now = now
        if not self._look_at_root():
            return []
        self._mind_the_watch(now)
        self._take_hints(now)
        self._scan(now)
        return self._settled(now, limit)

    def forget(self, file: SettledFile | InProgressFile) -> None:
        """Drop a file that was taken or is gone."""
        self._drop(file.source)

    def refuse(self, file: SettledFile | InProgressFile, verb: Verb, reason: str) -> None:
        """Try a file that may not be read or moved again later; log its folder once."""
        self._tracker.postpone(file.source, self._clock())
        self._refusals.add(file.source, verb, os.path.join(self._root, file.source), reason)

    def postpone(self, file: SettledFile | InProgressFile, why: str) -> None:
        """Try a file again later, each time later; say why, once for each file."""
        self._tracker.postpone(file.source, self._clock())
        self._oddities.say(file.source, why)

    def rescan(self) -> None:
        """Walk through all of the inbox again, as soon as can be."""
        if self._scanning:
            self._scan_again = True
            return
        self._scanning = True
        self._scan_began = self._clock()
        self._walk.push(b"")

    def status(self) -> InboxStatus:
        """Say how the inbox is doing."""
        state = "missing" if self._missing else "watching" if self._watcher.watching else "polling"
        return InboxStatus(
            path=self.path,
            state=state,
            degraded=self._watcher.degraded or bool(self._missing),
            note=self._missing or self._watcher.note,
            settling=self._tracker.waiting,
            resting=self._tracker.resting,
            scanning=self._scanning,
            scans=self._scans,
            lost_events=self._lost,
            odd=len(self._oddities),
            unlisted=self._unlisted,
            refused=len(self._refusals),
            refusals=self._refusals.reasons,
        )

    def stop(self) -> None:
        """Stop watching; nothing more is reported."""
        self._walk.stop()
        self._watcher.stop()

    # The inbox itself: there, gone, or another folder

    def _look_at_root(self) -> bool:
        try:
            status = os.stat(self._root)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder")
            inode = status.st_dev, status.st_ino
            if inode != self._inode:
                self._refuse_bare_mount_point()
        except OSError as error:
            self._lose_root(error)
            return False
        if inode != self._inode:
            self._adopt_root(inode)
        return True

    def _refuse_bare_mount_point(self) -> None:
        """Raise OSError if the inbox was a disk of its own, and is the empty folder under it now."""
        mounted = os.path.ismount(self._root)
        if self._mounted and not mounted:
            raise OSError(errno.ENODEV, "its disk is not mounted any more")
        self._mounted = mounted

    def _lose_root(self, error: OSError) -> None:
        if not self._missing:
            self._missing = f"the inbox cannot be reached: {error.strerror}"
            log.error("%s: %s; waiting for it to come back", self.path, self._missing)
            self._reset()
        self._inode = None

    def _adopt_root(self, inode: tuple[int, int]) -> None:
        if self._missing:
            log.warning("%s: the inbox is back", self.path)
        elif self._inode is not None:
            log.warning("%s: the inbox is another folder now, watching that one", self.path)
        self._missing = ""
        self._inode = inode
        self._reset()
        self._watcher.begin()
        self.rescan()

    def _reset(self) -> None:
        self._watcher.stop()
        self._walk.stop()
        self._tracker.clear()
        self._refusals = Refusals[bytes]()
        self._troubles = self._unlisted = 0
        self._hinted = []
        self._scanning = self._scan_again = False

    def _mind_the_watch(self, now: float) -> None:
        if not self._watcher.dead or now < self._rebuild_at:
            return
        log.warning("%s: the reader of events died; watching again, and scanning", self.path)
        self._rebuild_at = now + REBUILD_SECONDS
        self._watcher.begin()
        self._lost += 1
        self.rescan()

    # Seeing files

    def _take_hints(self, now: float) -> None:
        if not self._hinted:
            taken = self._watcher.hints.take()
            self._hinted = taken.files
            for folder in taken.folders:
                if not within(self._ignored, folder):
                    self._walk.push(folder)
            if taken.lost:
                self._lost += taken.lost
                log.warning("%s: overflow %d: events were lost; scanning", self.path, self._lost)
                self.rescan()
        until = self._clock() + SLICE_SECONDS
        with self._opened(bool(self._hinted)) as root:
            while root is not None and self._hinted and self._clock() < until:
                self._follow(root, self._hinted.pop(), now)

    def _follow(self, root: int, path: bytes, now: float) -> None:
        if within(self._ignored, path):
            return
        self._tracker.hint(path, now)
        status = _lstat(root, path)
        if status is None:
            self._drop(path)
        elif stat.S_ISREG(status.st_mode):
            if not self._tracker.sight(sighting(path, status), now):
                self._scan_again = True  # no room: the next scan finds it
        elif not stat.S_ISDIR(status.st_mode):
            self._oddities.kind(path, status)

    def _scan(self, now: float) -> None:
        if not self._scanning and (self._scan_again or now >= self._scan_at):
            self._scan_again = False
            self.rescan()
        self._walk.advance(self._clock() + SLICE_SECONDS, self._clock)
        if self._scanning and self._walk.idle:
            self._scanning = False
            self._scans += 1
            self._unlisted, self._troubles = self._troubles, 0
            self._refusals.keep(self._tracker.knows)
            self._scan_at = now + self._pause(self._clock() - self._scan_began)

    def _pause(self, scan_seconds: float) -> float:
        if self._watcher.watching:
            return self._settings.rescan_seconds
        # Without events, scan as often as can be noticed, but spend no more than a fifth of the time on it.
        return min(self._settings.rescan_seconds, max(1.0, self._settings.settle_seconds, 4.0 * scan_seconds))

    def _settled(self, now: float, limit: int) -> list[SettledFile]:
        arrivals = []
        with self._opened(self._tracker.has_due(now)) as root:
            if root is None:
                return []
            for due in self._tracker.due(now, limit):
                status = _lstat(root, due.sighting.path)
                if status is None or not stat.S_ISREG(status.st_mode):
                    self._drop(due.sighting.path)
                    continue
                seen = sighting(due.sighting.path, status)
                if seen != due.sighting:
                    self._tracker.sight(seen, now)
                else:
                    arrivals.append(self._arrival(due, now))
        return arrivals

    def _arrival(self, due: StableFile, now: float) -> SettledFile:
        seen_at = self._wall() - timedelta(seconds=now - due.first_seen)
        source, dev, ino, size, mtime_ns = due.sighting
        return SettledFile(os.fspath(self.path), source, dev, ino, size, mtime_ns, seen_at)

    @contextmanager
    def _opened(self, wanted: bool) -> Iterator[int | None]:
        """Hold the inbox open for many looks; None where that is not wanted, or cannot be for now."""
        root = None
        if wanted:
            with suppress(OSError):
                root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root
        finally:
            if root is not None:
                os.close(root)

    def _drop(self, path: bytes) -> None:
        self._tracker.forget(path)
        self._refusals.clear(path)

    def _trouble(self, path: bytes, error: OSError) -> None:
        self._troubles += 1
        self._oddities.trouble(path, error)

    def _take(self, seen: FileSnapshot) -> bool:
        return self._tracker.sight(seen, self._now)


def _lstat(root: int, path: bytes) -> os.stat_result | None:
    """Look at a path below an open inbox; None where there is nothing to be seen."""
    try:
        return lstat_within(root, path)
    except OSError:
        return None
