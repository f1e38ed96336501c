"""Watch one inbox: events and scans in, settled files out.

Events can be lost, so they only name paths to look at. The scan decides: at the start, every
`rescan_seconds`, and at once after events were lost, their reader died or the inbox became another folder.
Files of the user are not opened, moved or deleted here.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.schema.records import SettledFile
from pipeline.companions.names import NameIndex
from pipeline.files.safe_open import lstat_within
from pipeline.settings.sections import WatchSettings
from pipeline.watch.groups import Groups, beside
from pipeline.watch.ignore_rules import ignorer, within
from pipeline.watch.inbox_folder import FolderChange, InboxFolder
from pipeline.watch.inbox_records import InboxFile, InboxStatus
from pipeline.watch.mode import InboxWatcher
from pipeline.watch.refused_folders import Refusals, Verb
from pipeline.watch.scanner import ScanCallbacks, Scanner, snapshot
from pipeline.watch.skipped_entries import SkippedEntries
from pipeline.watch.stability import FileSnapshot, StabilityTracker, StableFile

__all__ = ["Inbox", "InboxStatus", "SettledFile"]

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.03  # time that one poll may spend on events, and again on the scan
REBUILD_SECONDS = 1.0


class Inbox:
    """Watch one inbox. Call `start`, then `poll` repeatedly from one thread, then `stop`.

    `action` is how the files are taken, None if they are moved; with any other the inbox is only read, and
    files that are `known` were taken and stay. For each returned file the worker calls `forget` when the file
    was taken or is gone, `postpone` when it cannot be taken now, or `refuse` when it may not be read or
    moved. Times are seconds of the monotonic `clock`. With `companions` the files that belong to a photo come
    with it.
    """

    def __init__(
        self,
        path: Path,
        settings: WatchSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        capacity: int = 10_000,
        action: str | None = None,
        known: Callable[[FileSnapshot], bool] = lambda _: False,
        companions: bool = False,
    ) -> None:
        self.path = path
        self._action = action
        self._known = known
        self._root = os.fsencode(path)
        self._settings = settings
        self._clock = clock
        self._wall = wall
        self._ignored = ignorer(settings.ignore, self._root)
        names = NameIndex() if companions else None
        self._tracker = StabilityTracker(settings.settle_seconds, capacity, names)
        self._groups = names and Groups(self._tracker, names, settings.settle_seconds, self._ignored, known)
        self._folder = InboxFolder(path)
        self._skipped = SkippedEntries(path)
        self._refusals = Refusals[bytes]()
        self._watcher = InboxWatcher(path, settings.mode, probes=action is None)
        self._changed: list[bytes] = []
        self._scanner = Scanner(self._root, self._callbacks())
        self._now = 0.0
        self._scanning = False
        self._scan_again = False
        self._scan_at = 0.0
        self._scan_began = 0.0
        self._rebuild_at = 0.0
        self._scans = 0
        self._lost = 0
        self._errors = 0  # of the running scan
        self._unlisted = 0

    def start(self) -> None:
        """Start watching, then scanning; `poll` keeps looking for an inbox that is missing."""
        self._check_folder()

    def poll(self, now: float | None = None, limit: int = 256) -> list[SettledFile]:
        """Return at most `limit` files that have settled since, and continue the scan for a short time."""
        now = self._clock() if now is None else now
        self._now = now
        if not self._check_folder():
            return []
        self._restart_dead_watcher(now)
        self._process_events(now)
        self._scan(now)
        return self._settled(now, limit)

    def forget(self, file: InboxFile) -> None:
        """Drop a file that was taken or is gone."""
        self._drop(file.source)
        for path in beside(file.source, file.companions):
            self._drop(path)

    def refuse(self, file: InboxFile, verb: Verb, reason: str) -> None:
        """Retry a file that may not be read or moved later; log its folder once."""
        self._tracker.postpone(file.source, self._clock())
        self._refusals.add(file.source, verb, os.path.join(self._root, file.source), reason)

    def postpone(self, file: InboxFile, why: str) -> None:
        """Retry a file later, with growing delays; log the reason, if any, once for each file."""
        self._tracker.postpone(file.source, self._clock())
        if why:
            self._skipped.log_once(file.source, why)

    def rescan(self) -> None:
        """Scan the whole inbox again, as soon as the running scan is done."""
        if self._scanning:
            self._scan_again = True
            return
        self._scanning = True
        self._scan_began = self._clock()
        self._scanner.push(b"")

    def status(self) -> InboxStatus:
        """Return the inbox's status."""
        missing = self._folder.problem
        state = "missing" if missing else "watching" if self._watcher.watching else "polling"
        return InboxStatus(
            path=self.path,
            state=state,
            degraded=self._watcher.degraded or bool(missing),
            note=missing or self._watcher.note,
            settling=self._tracker.waiting,
            resting=self._tracker.resting,
            scanning=self._scanning,
            scans=self._scans,
            lost_events=self._lost,
            odd=len(self._skipped),
            unlisted=self._unlisted,
            refused=len(self._refusals),
            refusals=self._refusals.reasons,
        )

    def stop(self) -> None:
        """Stop watching and scanning."""
        self._scanner.stop()
        self._watcher.stop()

    # The inbox's own folder

    def _check_folder(self) -> bool:
        change = self._folder.check()
        if change is not FolderChange.NONE:
            self._reset()
        if change is FolderChange.NEW:
            self._watcher.begin()
            self.rescan()
        return not self._folder.problem

    def _reset(self) -> None:
        self._watcher.stop()
        self._scanner.stop()
        self._tracker.clear()
        self._refusals = Refusals[bytes]()
        self._errors = self._unlisted = 0
        self._changed = []
        self._scanning = self._scan_again = False

    def _restart_dead_watcher(self, now: float) -> None:
        if not self._watcher.dead or now < self._rebuild_at:
            return
        log.warning("%s: the reader of events died; restarting it and scanning", self.path)
        self._rebuild_at = now + REBUILD_SECONDS
        self._watcher.begin()
        self._lost += 1
        self.rescan()

    # Events and scans

    def _process_events(self, now: float) -> None:
        if not self._changed:
            batch = self._watcher.events.take()
            self._changed = batch.files
            for folder in batch.folders:
                if not within(self._ignored, folder):
                    self._scanner.push(folder)
            if batch.lost:
                self._lost += batch.lost
                log.warning("%s: overflow %d: events were lost; scanning", self.path, self._lost)
                self.rescan()
        until = self._clock() + SLICE_SECONDS
        with self._opened(bool(self._changed)) as root:
            while root is not None and self._changed and self._clock() < until:
                self._look_at(root, self._changed.pop(), now)

    def _look_at(self, root: int, path: bytes, now: float) -> None:
        if within(self._ignored, path):
            return
        self._tracker.touch(path, now)
        status = _lstat(root, path)
        if status is None:
            self._drop(path)
        elif stat.S_ISREG(status.st_mode):
            if not self._observe(snapshot(path, status)):
                self._scan_again = True  # no room: the next scan finds it
        elif not stat.S_ISDIR(status.st_mode):
            self._skipped.log_kind(path, status)

    def _scan(self, now: float) -> None:
        if not self._scanning and (self._scan_again or now >= self._scan_at):
            self._scan_again = False
            self.rescan()
        self._scanner.advance(self._clock() + SLICE_SECONDS, self._clock)
        if self._scanning and self._scanner.idle:
            self._scanning = False
            self._scans += 1
            self._unlisted, self._errors = self._errors, 0
            self._refusals.keep(self._tracker.knows)
            self._scan_at = now + self._pause(self._clock() - self._scan_began)

    def _pause(self, scan_seconds: float) -> float:
        if self._watcher.watching:
            return self._settings.rescan_seconds
        # Without events, scan often, but spend at most a fifth of the time on it.
        return min(self._settings.rescan_seconds, max(1.0, self._settings.settle_seconds, 4.0 * scan_seconds))

    def _settled(self, now: float, limit: int) -> list[SettledFile]:
        settled = []
        with self._opened(self._tracker.has_due(now)) as root:
            if root is None:
                return []
            for due in self._tracker.due(now, limit):
                status = _lstat(root, due.snapshot.path)
                if status is None or not stat.S_ISREG(status.st_mode):
                    self._drop(due.snapshot.path)
                    continue
                seen = snapshot(due.snapshot.path, status)
                if self._known(seen):
                    self._drop(seen.path)
                elif seen != due.snapshot:
                    self._tracker.observe(seen, now)
                    continue
                companions = self._groups.companions(due, root, now) if self._groups else ()
                if companions is not None:
                    settled.append(self._settled_file(due, now, companions))
        return settled

    def _settled_file(self, due: StableFile, now: float, companions: tuple[bytes, ...]) -> SettledFile:
        seen_at = self._wall() - timedelta(seconds=now - due.first_seen)
        source, dev, ino, size, mtime_ns = due.snapshot
        found = SettledFile(os.fspath(self.path), source, dev, ino, size, mtime_ns, seen_at, self._action)
        return replace(found, companions=companions) if companions else found

    @contextmanager
    def _opened(self, wanted: bool) -> Iterator[int | None]:
        """Keep the inbox open for many lookups; yield None if not `wanted` or if it cannot be opened now."""
        root = None
        if wanted:
            with suppress(OSError):
                root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root
        finally:
            if root is not None:
                os.close(root)

    def _callbacks(self) -> ScanCallbacks:
        return ScanCallbacks(
            self._watcher.cover, self._ignored, self._observe, self._skipped.log_kind, self._scan_error
        )

    def _drop(self, path: bytes) -> None:
        self._tracker.forget(path)
        self._refusals.clear(path)

    def _scan_error(self, path: bytes, error: OSError) -> None:
        self._errors += 1
        self._skipped.log_error(path, error)

    def _observe(self, seen: FileSnapshot) -> bool:
        return self._known(seen) or self._tracker.observe(seen, self._now)


def _lstat(root: int, path: bytes) -> os.stat_result | None:
    """Return the status of a path below an open inbox, None if it cannot be read."""
    try:
        return lstat_within(root, path)
    except OSError:
        return None
