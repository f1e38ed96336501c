"""Compare filed rows with the files under `sorted`, a little at a time and in constant memory.

Rows first: a row whose file is not at its path is displaced. Then files: one that no row fits is found. A
file that is moved meanwhile may be missed, and the next scan finds it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from db.queries import places
from db.queries.places import Place
from db.schema.tables import State
from pipeline.by_hand.folder_guard import FolderGuard
from pipeline.by_hand.folder_labels import ignorer_below
from pipeline.companions.beside import is_companion
from pipeline.originals.linked import LinkedOriginals
from pipeline.watch.scanner import ScanCallbacks, Scanner, snapshot
from pipeline.watch.stability import FileSnapshot

PAGE = 200
MOST = 20_000
"""Displaced rows and found files that are kept of one scan; the next one takes up further ones."""

_SLICE = 0.005


@dataclass(slots=True)
class Differences:
    """What one scan found: displaced rows by id, and found files by absolute path.

    `oldest` has, by folder, the lowest id of the rows whose file is in its place. `outside` counts rows that
    name a path outside of `sorted`. `whole` is False if some files could not be listed or kept. `links` are
    the paths that are symbolic links to originals.
    """

    displaced: dict[int, Place] = field(default_factory=dict)
    found: dict[bytes, FileSnapshot] = field(default_factory=dict)
    oldest: dict[bytes, int] = field(default_factory=dict)
    outside: int = 0
    whole: bool = True
    links: set[bytes] = field(default_factory=set)


class Comparison:
    """One scan of the folder `root`; `enter` is called with each folder before it is listed.

    Files that an undo has put into one of the `inboxes` are compared too. With `together`, companions of
    photos are passed over: they have no rows.
    """

    def __init__(
        self,
        engine: Engine,
        root: bytes,
        inboxes: Sequence[bytes],
        guard: FolderGuard,
        enter: Callable[[int, bytes], None],
        together: bool = False,
    ) -> None:
        self.differences = Differences()
        self._together = together
        self._inboxes = inboxes
        self._engine = engine
        self._root = root
        self._inside = os.path.join(root, b"")
        self._guard = guard
        self._listed: list[FileSnapshot] = []
        self.linked = LinkedOriginals(inboxes)
        callbacks = ScanCallbacks(
            enter, ignorer_below(root), self._observe, self._observe_link, lambda *_: self._miss()
        )
        self._scanner = Scanner(root, callbacks)

    def run(self, lost: Sequence[int] = ()) -> Iterator[None]:
        """Compare all; yields often, at most after some milliseconds. Raises OSError, DatabaseError.

        `lost` are ids of files that the worker decided on and that are neither in the spool nor in their
        folder: people took them from there before a killed worker could record them.
        """
        for place in places.decided(self._engine, lost):
            self.differences.displaced[place.id] = place
        for state in ("filed", "undone"):
            yield from self._rows(state)
        self._scanner.push(b"")
        try:
            while not self._scanner.idle:
                self._scanner.advance(time.monotonic() + _SLICE, time.monotonic)
                if len(self._listed) >= PAGE or self._scanner.idle:
                    listed, self._listed = self._listed, []
                    self._files(listed)
                yield
        finally:
            self._scanner.stop()

    def folder(self, place: Place) -> bytes:
        """Return the class's folder, or the inbox's, that the path of a row is in."""
        if place.state == "undone":
            inside = (inbox for inbox in self._inboxes if place.path.startswith(os.path.join(inbox, b"")))
            return next(inside, os.path.dirname(place.path))
        return place.path[: place.path.find(b"/", len(self._inside))]

    def is_outside(self, place: Place) -> bool:
        """Return whether the file of a filed row is recorded outside of `sorted`."""
        return place.state == "filed" and not place.path.startswith(self._inside)

    def in_place(self, place: Place) -> bool | None:
        """Return whether the file of a row is at its path, unchanged; None if that cannot be known."""
        try:
            found = self.linked.status(place.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return None
        if place.state == "undone":
            return True
        return stat.S_ISREG(found.st_mode) and self.fits(place, snapshot(place.path, found))

    def fits(self, place: Place, seen: FileSnapshot) -> bool:
        """Return whether a file is the one of a row, unchanged; see `fits`."""
        return fits(place, seen, self._guard)

    # --- rows, then files

    def _rows(self, state: State) -> Iterator[None]:
        last, found = 0, self.differences
        while page := places.page(self._engine, state, last, PAGE):
            for place in page:
                if self.is_outside(place):
                    found.outside += 1
                elif (there := self.in_place(place)) is None:
                    found.whole = False
                elif there:
                    found.oldest.setdefault(self.folder(place), place.id)
                elif len(found.displaced) < MOST and not self._is_in_renamed(place):
                    found.displaced[place.id] = place
            last = page[-1].id
            yield

    def _files(self, listed: Sequence[FileSnapshot]) -> None:
        by_path = {self._inside + seen.path: seen for seen in listed}
        known = places.at_paths(self._engine, list(by_path))
        odd = {
            path: seen._replace(path=path)
            for path, seen in by_path.items()
            if not any(self.fits(place, seen) for place in known.get(path, ()))
        }
        before = {old: path for path in odd if (old := self._former(path))}
        for old in places.at_paths(self._engine, list(before)) if before else ():
            del odd[before[old]]
        for path, seen in odd.items():
            if self._together and path not in known and is_companion(path):
                continue
            if len(self.differences.found) < MOST:
                self.differences.found[path] = seen
            else:
                self._miss()

    def _is_in_renamed(self, place: Place) -> bool:
        """Return whether the class's folder was renamed, and has the file under its new name."""
        new = self._guard.renamed.get(self.folder(place)) if place.state == "filed" else None
        return new is not None and os.path.lexists(new + place.path[len(self.folder(place)) :])

    def _former(self, path: bytes) -> bytes | None:
        """Return the path that a file had before its class's folder was renamed."""
        for old, new in self._guard.renamed.items():
            if path.startswith(new + b"/"):
                return old + path[len(new) :]
        return None

    def _observe(self, seen: FileSnapshot) -> bool:
        if len(self._listed) >= PAGE:
            return False
        self._listed.append(seen)
        return True

    def _observe_link(self, path: bytes, _: os.stat_result) -> None:
        """Take a symbolic link to an original for that; other entries are left alone."""
        with contextlib.suppress(OSError):
            if self.linked.original(self._inside + path):
                status = self.linked.status(self._inside + path)
                self._listed.append(snapshot(path, status))
                self.differences.links.add(self._inside + path)

    def _miss(self) -> None:
        self.differences.whole = False


def fits(place: Place, seen: FileSnapshot, guard: FolderGuard) -> bool:
    """Return whether a file is the one of a row, unchanged.

    A file copied to another file system has another inode, so that inodes are compared only on the device of
    the row, and not at all where they change from mount to mount.
    """
    if (seen.size, seen.mtime_ns) != (place.bytes, place.mtime_ns):
        return False
    return place.ino == seen.ino or place.dev != seen.dev or not guard.inodes_last(seen.dev)
