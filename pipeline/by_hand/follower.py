"""Follow what people do by hand in `sorted`, in short slices between the steps of the worker.

Events only say that something changed; a scan finds what. A scan follows soon after a change, at the start,
and from time to time. Its share of the processor is bounded, however many files there are, and it stops for
the worker's own files.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Engine

from db.connection.engine import DatabaseUnavailable, forget_connections
from db.queries import places
from models.errors import in_words
from pipeline.by_hand import memory
from pipeline.by_hand.comparison import Comparison, fits
from pipeline.by_hand.folder_guard import FolderGuard
from pipeline.by_hand.folder_labels import ignorer_below, labels_of
from pipeline.by_hand.missing import Missing
from pipeline.by_hand.recorder import Recorder, Work
from pipeline.by_hand.take_up import TakeUp
from pipeline.companions.beside import is_companion
from pipeline.files.safe_open import lstat_any
from pipeline.settings.config import Settings
from pipeline.watch.ignore_rules import within
from pipeline.watch.inotify import CHANGES
from pipeline.watch.mode import InboxWatcher
from pipeline.watch.scanner import ScanCallbacks, Scanner, snapshot
from pipeline.watch.stability import FileSnapshot

log = logging.getLogger(__name__)

SLICE_SECONDS = 0.03
"""Time that one call may take while no photo waits."""

BUSY_SLICE_SECONDS = 0.002
BUSY_SHARE = 0.02
"""Share of the time that scans take while photos are being filed."""

SOON_SHARE = 0.1
SHARE = 0.02
"""Share of the time that scans take: after changes, and without any."""

POLL_SECONDS = 2.0
"""Seconds between scans where there are no events, if the share allows it."""

PIECE = 100
TRIES_SECONDS = 5.0
MOST_HINTS = 20_000


class LostFiles(Protocol):
    """The files that the worker decided on and that are gone from the spool, by the ids of their rows."""

    @property
    def ids(self) -> frozenset[int]:
        """Return the ids."""

    def keep(self, unfinished: Collection[int]) -> None:
        """Forget the others."""


class Follower:
    """Take up what people do by hand in `sorted`. Call `start`, `advance` between steps, and `stop`.

    `folders` are those of the labels, label -> folder. `lost` returns the files that are gone from the
    spool; people may have moved them on. `clock` is monotonic, in seconds; `now` gives UTC.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        folders: Mapping[str, str],
        *,
        lost: Callable[[], LostFiles] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.scans = 0
        self._engine = engine
        self._settings = settings
        self._root = os.fsencode(settings.sorted)
        self._lost = lost
        self._lost_before: frozenset[int] = frozenset()
        self._clock = clock
        self._settle = settings.watch.settle_seconds
        self._now = now
        self._memory = memory.load(settings.state, now().timestamp())
        self._guard = FolderGuard(self._root, self._memory)
        self.labels = labels_of(folders, settings)
        self._recorder = Recorder(engine, settings, self.labels, self._memory, now)
        self._missing = Missing(engine, self._guard, max(1.0, 2 * self._settle))
        self._watcher = InboxWatcher(settings.sorted, settings.watch.mode, CHANGES)
        self._ignored = ignorer_below(self._root)
        self._hints: dict[bytes, None] = {}  # paths that events named, relative to `sorted`
        self._new_folders = Scanner(self._root, self._hint_callbacks())
        self._work: Work | None = None
        self._resume_at = 0.0
        self._busy = False
        self._busy_until = 0.0
        self._scan_at = 0.0
        self._cost = 0.0  # seconds of work of the running scan
        self._compared = 0.0  # seconds of it until rows and files were compared
        self._changed = False
        self._outside = 0
        self._unclear: dict[bytes, FileSnapshot] = {}
        self._unsettled = False
        self._trouble = ""

    def start(self) -> None:
        """Start to watch; the first scan follows at once."""
        self._watcher.begin()

    def stop(self) -> None:
        """Stop watching, and leave the running scan."""
        self._leave_scan()
        self._new_folders.stop()
        self._watcher.stop()

    @property
    def idle(self) -> bool:
        """Whether all that was done by hand is recorded, as far as that is possible now."""
        pending = self._work is not None or self._changed or self._missing.waiting or self._hints
        return bool(self._trouble) or (self.scans > 0 and not pending)

    @property
    def notes(self) -> tuple[str, ...]:
        """What keeps it from recording something, as text for people."""
        root = self._settings.sorted
        outside = f"{root}: {self._outside} photos are recorded elsewhere; see `pawsort doctor`"
        trouble = f"{root}: cannot be followed: {self._trouble}"
        return (
            *([trouble] if self._trouble else []),
            *([outside] if self._outside else []),
            *self._missing.notes,
        )

    def advance(self, *, busy: bool) -> None:
        """Go on for a moment, a shorter one if the worker is `busy`; never raises for a system error."""
        began, self._busy = self._clock(), busy
        if began < self._resume_at or (busy and began < self._busy_until):
            return
        try:
            self._advance(began + (BUSY_SLICE_SECONDS if busy else SLICE_SECONDS))
        except (OSError, DatabaseUnavailable) as error:
            forget_connections(self._engine)
            self._fail(in_words(error), began)
        spent = self._clock() - began
        self._cost += spent
        self._busy_until = began + spent / BUSY_SHARE

    def _advance(self, until: float) -> None:
        self._take_hints(until)
        if self._lost and (lost := self._lost().ids) != self._lost_before:
            self._lost_before = lost
            self._change()
        while self._clock() < until:
            if self._work is None:
                if self._clock() < self._scan_at:
                    return
                self._begin_scan()
                continue
            try:
                pause = next(self._work)
            except StopIteration:
                self._end_scan()
                return
            if pause:
                self._resume_at = self._clock() + pause
                return

    def _fail(self, why: str, now: float) -> None:
        if why != self._trouble:
            log.warning("%s: cannot be followed now: %s; trying again", self._settings.sorted, why)
        self._trouble = why
        self._leave_scan()
        self._scan_at = self._resume_at = now + TRIES_SECONDS

    # --- scans

    def _begin_scan(self) -> None:
        self._changed = False
        self._cost = 0.0
        self._work = self._scan()

    def _leave_scan(self) -> None:
        if self._work is not None:
            self._work.close()
            self._work = None

    def _end_scan(self) -> None:
        self._work = None
        self._trouble = ""
        self.scans += 1
        if self._recorder.done:
            self._cost = self._compared  # what was read and recorded is not read again
        period = self._settings.watch.rescan_seconds
        period = period if self._watcher.watching else min(period, POLL_SECONDS)
        self._scan_at = self._clock() + max(period, self._cost / SHARE)
        if self._changed or self._unsettled:
            self._soon(min(1.0, self._settle), self._cost)
        elif self._missing.waiting:
            self._soon(self._missing.seconds, self._cost)
        if self._recorder.done:
            done = ", ".join(f"{count} {kind}" for kind, count in sorted(self._recorder.done.items()))
            log.info("taken up by hand in %s: %s", self._settings.sorted, done)
            self._recorder.done.clear()

    def _soon(self, least: float, cost: float) -> None:
        self._scan_at = min(self._scan_at, self._clock() + max(least, cost / SOON_SHARE))

    def _scan(self) -> Work:
        self._guard.look()
        self._memory.follow(places.last_id(self._engine), self._now().timestamp())
        inboxes = [os.fsencode(inbox) for inbox in self._settings.inboxes]
        given = self._engine, self._root, inboxes, self._guard, self._enter
        comparison = Comparison(*given, self._settings.filing.companions)
        for _ in comparison.run(sorted(self._lost_before)):
            yield 0.0
        self._compared = self._cost
        self._outside = comparison.differences.outside
        if comparison.differences.found and self._settle:
            yield self._settle
        take_up = TakeUp(self._engine, self._settings, comparison, self._recorder)
        yield from take_up.run()
        missing = take_up.left.values(), take_up.unclear, comparison, self._clock()
        yield from self._recorder.removals(self._missing.deleted(*missing, busy=self._busy))
        if self._lost and self._lost_before:
            self._lost().keep({e.id for e in places.decided(self._engine, sorted(self._lost_before))})
        # A file that is being written changes from scan to scan; one that cannot be read does not.
        self._unsettled = take_up.unclear != self._unclear
        self._unclear = take_up.unclear

    def _enter(self, fd: int, path: bytes) -> None:
        self._guard.enter(fd, path)
        self._watcher.cover(fd, path)

    # --- events, as hints

    def _take_hints(self, until: float) -> None:
        if self._watcher.dead:
            log.warning("%s: the reader of events died; restarting it and scanning", self._settings.sorted)
            self._leave_scan()
            self._watcher.begin()
            self._change()
        batch = self._watcher.events.take()
        if batch.lost or len(self._hints) > MOST_HINTS:
            self._change()
            self._hints.clear()
        self._hints |= dict.fromkeys(path for path in batch.files if not within(self._ignored, path))
        for folder in batch.folders:
            if not within(self._ignored, folder):
                if not os.path.lexists(os.path.join(self._root, folder)):
                    self._change()  # it was moved or deleted, with files that no event names
                self._new_folders.push(folder)
        self._new_folders.advance(until, self._clock)
        while self._hints and self._clock() < until:
            piece = [self._hints.popitem()[0] for _ in range(min(PIECE, len(self._hints)))]
            if not self._agree(piece):
                self._change()

    def _agree(self, paths: list[bytes]) -> bool:
        """Return whether rows and files agree at these paths, as after a step of the worker."""
        absolute = [os.path.join(self._root, path) for path in paths]
        known = places.at_paths(self._engine, absolute)
        return all(self._agrees(path, known.get(path, [])) for path in absolute)

    def _agrees(self, path: bytes, rows: list[places.Place]) -> bool:
        try:
            found = lstat_any(path)
        except OSError:
            return not rows
        if stat.S_ISLNK(found.st_mode):
            return bool(rows)
        if not stat.S_ISREG(found.st_mode):
            return True
        if not rows:
            return self._settings.filing.companions and is_companion(path)
        return any(fits(place, snapshot(path, found), self._guard) for place in rows)

    def _change(self) -> None:
        if not self._changed:
            self._changed = True
            self._soon(min(1.0, self._settle), self._cost)

    def _hint_callbacks(self) -> ScanCallbacks:
        def observe(seen: FileSnapshot) -> bool:
            self._hints[seen.path] = None
            return True

        return ScanCallbacks(self._watcher.cover, self._ignored, observe, lambda *_: None, lambda *_: None)
