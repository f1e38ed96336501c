"""Decide which missing files were deleted: missing in two scans some time apart, and without a doubt."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from sqlalchemy import Engine

from db.queries import places
from db.queries.places import Place
from pipeline.by_hand.comparison import Comparison
from pipeline.by_hand.folder_guard import FolderGuard
from pipeline.files.safe_open import lstat_any
from pipeline.watch.stability import FileSnapshot

log = logging.getLogger(__name__)


PATIENCE_SECONDS = 600.0
"""While photos are being filed, files must be missing for so long."""


class Missing:
    """Remember when each missing file was missing first; `seconds` must pass before it counts as deleted."""

    def __init__(self, engine: Engine, guard: FolderGuard, seconds: float) -> None:
        self.notes: tuple[str, ...] = ()
        """Why missing files are not recorded as deleted; each is logged once."""
        self._engine = engine
        self._guard = guard
        self.seconds = seconds
        self.waiting = False
        """Whether files are missing that count as deleted if they still are when the time has passed."""
        self._since: dict[int, float] = {}

    def deleted(
        self,
        left: Collection[Place],
        unclear: Mapping[bytes, FileSnapshot],
        comparison: Comparison,
        now: float,
        *,
        busy: bool = False,
    ) -> list[Place]:
        """Return the rows whose files were deleted, of those `left` that a scan did not find.

        `unclear` are found files whose content is unknown, by path; `now` is of a monotonic clock. A
        `busy` worker may not have taken a file yet that came in again. Raises DatabaseError.
        """
        gone = [place for place in left if self._is_gone(place, comparison)]
        by_folder: dict[bytes, list[Place]] = {}
        for place in gone:
            by_folder.setdefault(comparison.folder(place), []).append(place)
        doubts = {folder: self._doubt(folder, rows, comparison) for folder, rows in by_folder.items()}
        self._note([doubt for doubt in doubts.values() if doubt])
        sure = [p for folder, rows in by_folder.items() if not doubts[folder] for p in rows]
        coming = places.on_their_way(self._engine, sure) if sure else set()
        least = PATIENCE_SECONDS if busy else self.seconds
        self._since = {p.id: self._since.get(p.id, now) for p in sure}
        waited = {p.id for p in sure if now - self._since[p.id] >= least}
        self.waiting = comparison.differences.whole and len(waited) < len(sure)
        if not comparison.differences.whole:
            return []
        # A file that cannot be read may be one of these, moved.
        sizes = {seen.size for seen in unclear.values()}
        return [p for p in sure if p.id in waited and p.id not in coming and p.bytes not in sizes]

    def _doubt(self, folder: bytes, rows: Collection[Place], comparison: Comparison) -> str:
        missing = {place.id: place.path for place in rows}
        return self._guard.doubt(folder, missing, comparison.differences.oldest.get(folder))

    def _is_gone(self, place: Place, comparison: Comparison) -> bool:
        """Return whether a file is missing, or another row's file has its path now."""
        try:
            lstat_any(place.path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        if place.state == "undone":
            return False
        others = places.at_paths(self._engine, [place.path]).get(place.path, [])
        return any(other.id != place.id and comparison.in_place(other) for other in others)

    def _note(self, doubts: Collection[str]) -> None:
        for doubt in doubts:
            if doubt not in self.notes:
                log.warning("%s", doubt)
        self.notes = tuple(doubts)
