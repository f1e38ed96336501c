"""Choose whether an inbox is watched (events) or polled, and record the reason."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Literal

from models.errors import in_words
from pipeline.watch.ignore_rules import PROBE_PREFIX
from pipeline.watch.inotify import ARRIVALS, EventKinds, InotifyWatch, PendingEvents, WatchError
from pipeline.watch.mounts import remote_kind

log = logging.getLogger(__name__)

PROBE_SECONDS = 1.0


class InboxWatcher:
    """Watch an inbox according to its mode, and fall back to polling where events are unreliable.

    `kinds` are the events that are asked for; without `probes` nothing is ever written there.
    `auto` polls file systems that other machines write to, and tests the others with a probe file. `degraded`
    is True if events were expected and polling is used; `note` is the reason.
    """

    def __init__(
        self,
        inbox: Path,
        mode: Literal["auto", "native", "polling"],
        kinds: EventKinds = ARRIVALS,
        *,
        probes: bool = True,
    ) -> None:
        self._inbox = inbox
        self._kinds = kinds
        self._root = os.fsencode(inbox)
        self._mode = mode
        self._probes = probes
        self._watch: InotifyWatch | None = None
        self.events = PendingEvents()
        self.note = ""
        self.degraded = False

    @property
    def watching(self) -> bool:
        """Whether events are expected; if not, only scans find new files."""
        return self._watch is not None

    @property
    def dead(self) -> bool:
        """Whether events are expected and their reader has died."""
        return self._watch is not None and not self._watch.alive

    def begin(self) -> None:
        """Watch the folder that now has the inbox's path, instead of an earlier one."""
        self.stop()
        self.events = PendingEvents()
        self.note, self.degraded = "", False
        if self._mode == "polling":
            self.note = "polling, as set in `watch.mode`"
            return
        try:
            kind = remote_kind(self._root) if self._mode == "auto" else None
            if kind is not None:
                self._poll(f"{kind} does not report what other machines write", degraded=False)
                return
            self._watch = InotifyWatch(self.events, self._kinds)
            if self._mode == "auto" and self._probes:
                self._probe(self._watch)
        except (WatchError, OSError) as error:
            self._poll(in_words(error), degraded=True)

    def cover(self, folder: int, path: bytes) -> None:
        """Watch one more open folder of the inbox, unless polling."""
        if self._watch is None:
            return
        try:
            self._watch.cover(folder, path)
        except WatchError as error:
            self._poll(in_words(error), degraded=True)

    def stop(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _poll(self, why: str, *, degraded: bool) -> None:
        self.stop()
        self.note, self.degraded = f"polling: {why}", degraded
        log.warning("%s: %s", self._inbox, self.note)

    def _probe(self, watch: InotifyWatch) -> None:
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        name = os.fsencode(f"{PROBE_PREFIX}probe")
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)  # left by a worker that was killed here
            watch.cover(folder, b"")
            seen = watch.expect(name)
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder))
            try:
                answered = seen.wait(PROBE_SECONDS)
            finally:
                os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)
        if not answered:
            raise WatchError("no event came back for a probe file")
