"""Keep the settled files of an inbox together that belong together: a photo comes with its companions."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from db.schema.records import SettledFile
from pipeline.companions import rules
from pipeline.companions.names import NameIndex
from pipeline.files.safe_open import is_written_to, leased, lstat_within, opened
from pipeline.watch.scanner import snapshot
from pipeline.watch.stability import FileSnapshot, StabilityTracker, StableFile

PATIENCE = 4.0
"""Settle times that a RAW, video or sidecar without its photo waits longer, in case that this comes next."""


class Groups:
    """Decide what becomes of a file that has settled, by the names that the tracker knows beside it.

    `ignored` tests a path relative to the inbox, `known` whether an original was taken and stays.
    """

    def __init__(
        self,
        tracker: StabilityTracker,
        names: NameIndex,
        settle_seconds: float,
        ignored: Callable[[bytes], bool],
        known: Callable[[FileSnapshot], bool] = lambda _: False,
    ) -> None:
        self._tracker = tracker
        self._names = names
        self._patience = settle_seconds * (1.0 + PATIENCE)
        self._ignored = ignored
        self._known = known

    def companions(self, due: StableFile, root: int, now: float) -> tuple[bytes, ...] | None:
        """Return the names of the companions that come with a settled file.

        None if it is not to be taken now: it belongs to a file that will be, or something of its group is
        still settling. A companion without a known photo is returned as any file; the worker knows more.
        """
        path = due.snapshot.path
        if self._names.is_companion(path):
            return None
        if (of := rules.kind(path.rpartition(b"/")[2])) in ("raw", "video", "sidecar"):
            if of != "sidecar" and self._is_beside_its_photo(path, root):
                self._tracker.postpone(path, now)
                return None
            if now < due.first_seen + self._patience:
                self._tracker.hold(path, due.first_seen + self._patience)
                return None
        companions = self._names.companions(path)
        if companions and (until := max(map(self._tracker.settles_at, beside(path, companions)))) > now:
            self._tracker.hold(path, until)
            return None
        return companions

    def _is_beside_its_photo(self, path: bytes, root: int) -> bool:
        """Return whether the picture is in the folder, to be taken, though no scan has come to it yet."""
        name = path.rpartition(b"/")[2]
        for picture in beside(path, rules.candidates(name)):
            with suppress(OSError):
                status = lstat_within(root, picture)
                is_file = stat.S_ISREG(status.st_mode) and not self._ignored(picture)
                if is_file and not self._known(snapshot(picture, status)):
                    return True
        return False


def beside(path: bytes, names: Iterable[bytes]) -> list[bytes]:
    """Return the paths of files beside the file at `path`."""
    folder, slash, _ = path.rpartition(b"/")
    return [folder + slash + name for name in names]


def with_names(file: SettledFile, names: Iterable[bytes]) -> SettledFile:
    """Return a settled file with these companions too, as far as they are files beside it."""
    folder = os.path.dirname(file.path)
    there = [name for name in names if os.path.isfile(os.path.join(folder, name))]
    if not there:
        return file
    return replace(file, companions=rules.distinct(os.path.basename(file.source), {*file.companions, *there}))


def is_settled(file: SettledFile) -> bool:
    """Return whether a file is still the version that was seen, and neither it nor a companion is written to.

    Raises OSError if it is gone, is not a regular file, or may not be read; RefusedError if it is to be moved
    and its folder does not allow that.
    """
    inbox = os.fsencode(file.inbox)
    with opened(inbox, file.source, movable=file.action is None) as now:
        identity = (now.stat.st_dev, now.stat.st_ino, now.stat.st_size, now.stat.st_mtime_ns)
        if file.identity != identity or leased(now.fd) is False:
            return False
    return not any(is_written_to(inbox, path) for path in beside(file.source, file.companions))
