"""Take up what one scan has found: decide which row each found file belongs to, by inode, then by content."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from db.queries import places
from db.queries.places import Place
from pipeline.by_hand.comparison import Comparison
from pipeline.by_hand.content import digest, header, is_picture
from pipeline.by_hand.matching import by_inode, edited_elsewhere, nearest
from pipeline.by_hand.recorder import Addition, Proposal, Recorder, Work
from pipeline.corrections.spellings import respelled
from pipeline.settings.config import Settings
from pipeline.watch.stability import FileSnapshot

PIECE = 50
"""Files that are read before their rows are looked up."""


_ENDED = ("removed", "undone", "vanished")


class TakeUp:
    """Take up the differences of one comparison.

    Afterwards `left` has the displaced rows whose file was not found, and `unclear` the found files, by path,
    that were being written to, changed or could not be read.
    """

    def __init__(
        self, engine: Engine, settings: Settings, comparison: Comparison, recorder: Recorder
    ) -> None:
        self.left = dict(comparison.differences.displaced)
        self.unclear: dict[bytes, FileSnapshot] = {}
        self._found = comparison.differences.found
        self._adds = not comparison.differences.outside
        self._engine = engine
        self._limits = settings.limits
        self._root = os.fsencode(settings.sorted)
        self._comparison = comparison
        self._recorder = recorder
        self._used: set[int] = set()
        self._lost = {place.path for place in self.left.values() if place.state == "decided"}
        self._at: dict[bytes, list[Place]] = {}
        for place in self.left.values():
            self._at.setdefault(place.path, []).append(place)

    def run(self) -> Work:
        """Do it; yields often. Raises OSError, DatabaseError."""
        self._drop_unsettled()
        pairs = by_inode(self.left.values(), self._found)
        for place in pairs.values():
            self._use(place)
        moved = [Proposal(row, self._found[path]) for path, row in pairs.items()]
        yield from self._recorder.moves(moved, self._lost)
        # A file beside the folders has no outcome: it is not recorded, and only prevents a removal.
        # Nor is a link to an original that no row fits: a person made it.
        links = self._comparison.differences.links
        rest = [p for p in self._found if p not in pairs and p not in links and self._is_in_a_folder(p)]
        for start in range(0, len(rest), PIECE):
            yield from self._read(rest[start : start + PIECE])

    def _drop_unsettled(self) -> None:
        """Leave alone, until the next scan, files that changed since they were listed."""
        for path, seen in list(self._found.items()):
            if self._now(path) != seen[1:]:
                self.unclear[path] = self._found.pop(path)

    def _now(self, path: bytes) -> tuple[int, int, int, int] | None:
        try:
            found = self._comparison.linked.status(path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self, paths: Sequence[bytes]) -> Work:
        sha256s: dict[bytes, str] = {}
        for path in paths:
            work = digest(self._found[path])
            while True:
                try:
                    next(work)
                except StopIteration as end:
                    if end.value is None:
                        self.unclear[path] = self._found[path]
                    else:
                        sha256s[path] = end.value
                    break
                yield 0.0
        yield from self._match(sha256s)

    def _match(self, sha256s: Mapping[bytes, str]) -> Work:
        alike = places.of_content(self._engine, set(sha256s.values()))
        here = places.at_paths(self._engine, list(sha256s))
        spelled = self._respelled([path for path in sha256s if path not in here])
        touched: list[Proposal] = []
        moved: list[Proposal] = []
        added: list[Addition] = []
        for path, sha256 in sha256s.items():
            seen = self._found[path]
            if proposal := self._origin(seen, alike.get(sha256, ()), spelled.get(path)):
                stays = proposal.place.path == path and proposal.kind == "move"
                (touched if stays else moved).append(proposal)
            elif row := self._edited(seen):
                moved.append(Proposal(row, seen, "edit", sha256, header(path, self._limits)))
            elif _may_arrive(alike.get(sha256, ())):
                self.unclear[path] = seen
            elif self._adds:
                is_copy = any(place.state == "filed" for place in alike.get(sha256, ()))
                added.append(Addition(seen, sha256, not is_copy and is_picture(path, self._limits)))
                yield 0.0
        self._recorder.refresh(touched)
        yield from self._recorder.moves(moved, self._lost)
        yield from self._recorder.additions(added, self._lost)

    def _origin(self, seen: FileSnapshot, alike: Sequence[Place], spelled: Place | None) -> Proposal | None:
        """Return the row of a found file whose content is as it was, as a proposal."""
        free = [place for place in alike if place.id not in self._used and _can_be(place, seen)]
        displaced = [place for place in free if self._is_displaced(place)]
        if displaced:
            return Proposal(self._use(nearest(displaced, seen.path)), seen)
        if spelled is not None:
            return Proposal(spelled, seen)
        # A row that ended is that of this very file, unless another row has it now: this may be a link to it.
        owned = any(place.state == "filed" and place.ino == seen.ino for place in alike)
        back = [p for p in free if p.state in _ENDED and (p.state != "vanished" or not owned)]
        back = [p for p in back if p.state != "undone" or not os.path.lexists(p.path)]
        if back:
            return Proposal(self._use(nearest(back, seen.path)), seen, "return")
        return None

    def _edited(self, seen: FileSnapshot) -> Place | None:
        """Return the row of a found file whose content is new: that of its path, or of its inode."""
        here = [place for place in self._at.get(seen.path, ()) if place.id in self.left]
        place = here[-1] if here else edited_elsewhere(self.left.values(), seen)
        return self._use(place) if place else None

    def _is_displaced(self, place: Place) -> bool:
        if place.state == "decided":
            return place.id in self.left
        inside = place.state == "filed" and not self._comparison.is_outside(place)
        return inside and (place.id in self.left or self._comparison.in_place(place) is False)

    def _use(self, place: Place) -> Place:
        self._used.add(place.id)
        self.left.pop(place.id, None)
        return place

    def _respelled(self, paths: Sequence[bytes]) -> dict[bytes, Place]:
        """Return the rows of files that are listed in another spelling, where that is one name."""
        before = respelled(self._engine, self._root, paths) if paths else {}
        rows = places.at_paths(self._engine, list(before.values())) if before else {}
        return {path: rows[old][0] for path, old in before.items() if old in rows}

    def _is_in_a_folder(self, path: bytes) -> bool:
        return b"/" in path[len(self._root) + 1 :]


def _can_be(place: Place, seen: FileSnapshot) -> bool:
    """Return whether equal content tells that a file is that of a row; of empty ones, the inode tells."""
    by_inode = place.state == "vanished" or not seen.size
    return not by_inode or place.ino == seen.ino


def _may_arrive(alike: Sequence[Place]) -> bool:
    """Return whether a file of this content is on its way into a folder, or lost on it, and not yet there."""
    return any(place.state == "decided" and not os.path.lexists(place.path) for place in alike)
