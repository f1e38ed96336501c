"""Record what people did by hand, after a last look at each file, while no command makes moves.

The caller takes no step of the worker meanwhile.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Generator, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeVar

from sqlalchemy import Engine

from db.ledger import by_hand, imported
from db.ledger.by_hand import HandMove, PictureHeader
from db.ledger.imported import Found
from db.queries import integrity
from db.queries.places import Place
from pipeline.by_hand.folder_labels import FOLDER, FolderLabels, folder_of, login_name
from pipeline.by_hand.memory import Memory
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.errors import LockError
from pipeline.originals.linked import LinkedOriginals
from pipeline.settings.config import Settings
from pipeline.watch.stability import FileSnapshot

log = logging.getLogger(__name__)

BATCH = 100
LOCKED_SECONDS = 0.2

WORDS = {"move": "moved", "remove": "deleted", "return": "came back", "edit": "edited"}
"""What the log says of each kind of move."""

T = TypeVar("T")

Work = Generator[float, None, None]
"""Work that stops at each yield, and may go on after so many seconds."""


class Proposal(NamedTuple):
    """A row whose file is `seen` now; `sha256` is the content of an edit, `header` what a picture's says."""

    place: Place
    seen: FileSnapshot
    kind: Literal["move", "return", "edit"] = "move"
    sha256: str | None = None
    header: PictureHeader | None = None


class Addition(NamedTuple):
    """A file without a row, with its content; `says` tells whether its folder can label it.

    A folder labels only pictures, and no copies of filed photos: these are of backups and syncs too, and
    are made in bulk.
    """

    seen: FileSnapshot
    sha256: str
    says: bool


class Recorder:
    """Record proposals in batches, each in one transaction. `now` gives UTC."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        labels: FolderLabels,
        memory: Memory,
        now: Callable[[], datetime],
    ) -> None:
        self.done: Counter[str] = Counter()
        self._engine = engine
        self._settings = settings
        self._root = os.fsencode(settings.sorted)
        self._inbox = os.fspath(settings.inboxes[0])
        self._linked = LinkedOriginals([os.fsencode(inbox) for inbox in settings.inboxes])
        self._labels = labels
        self._memory = memory
        self._now = now

    def moves(self, proposals: Sequence[Proposal], lost: Collection[bytes] = ()) -> Work:
        """Record files that were moved, brought back or edited.

        At the paths of `lost` files, which are gone on their way there, the worker puts none.
        """

        def commit(part: Sequence[Proposal]) -> None:
            free = self._free([each.seen.path for each in part], lost)
            moved = [move for each in part if each.seen.path in free and (move := self._hand_move(each))]
            self._record(moved)

        yield from self._in_batches(proposals, commit)

    def removals(self, gone: Sequence[Place]) -> Work:
        """Record files that were deleted; the caller is certain of it."""

        def commit(part: Sequence[Place]) -> None:
            self._record([HandMove(p.id, "remove", p.state, p.path, p.path, FOLDER) for p in part])

        yield from self._in_batches(gone, commit)

    def additions(self, added: Sequence[Addition], lost: Collection[bytes] = ()) -> Work:
        """Record files that were put in; `lost` as in `moves`."""

        def commit(part: Sequence[Addition]) -> None:
            free = self._free([each.seen.path for each in part], lost)
            found = [file for each in part if each.seen.path in free and (file := self._found(each))]
            recorded = imported.record(self._engine, found, self._inbox, self._now()) if found else ()
            self.done["added"] += len(recorded)

        yield from self._in_batches(added, commit)

    def refresh(self, touched: Sequence[Proposal]) -> None:
        """Record new times and inodes of files whose content and path are as they were."""
        by_hand.refresh(self._engine, [(each.place.id, each.seen.path, each.seen[1:]) for each in touched])

    def _in_batches(self, items: Sequence[T], commit: Callable[[Sequence[T]], None]) -> Work:
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            while not self._try(commit, part):
                yield LOCKED_SECONDS
            yield 0.0

    def _try(self, commit: Callable[[Sequence[T]], None], part: Sequence[T]) -> bool:
        """Commit a batch unless a command makes moves now; return whether it was committed."""
        try:
            with moves_lock(self._settings, 0):
                commit(part)
        except LockError:
            return False
        return True

    def _record(self, moves: Sequence[HandMove]) -> None:
        kinds = {move.file_id: WORDS.get(move.kind, move.kind) for move in moves}
        done = by_hand.record(self._engine, moves, self._now()) if moves else ()
        self.done.update(kinds[id] for id in done)

    def _free(self, paths: Collection[bytes], lost: Collection[bytes]) -> set[bytes]:
        """Return the paths at which the worker or a command is not about to put, or take, a file."""
        expected = integrity.expected(self._engine, list(paths)).difference(lost)
        return set(paths) - expected - integrity.moving(self._engine, list(paths))

    def _hand_move(self, proposal: Proposal) -> HandMove | None:
        place, seen = proposal.place, proposal.seen
        folder, status = self._folder(seen.path), self._status(seen)
        if folder is None or status is None:
            return None
        return HandMove(
            place.id,
            proposal.kind,
            place.state,
            place.path,
            seen.path,
            login_name(status.st_uid),
            keeps=self._folder(place.path) == folder,
            outcome=folder,
            label=self._labels.label(folder),
            identity=seen[1:],
            sha256=proposal.sha256,
            header=proposal.header,
        )

    def _found(self, addition: Addition) -> Found | None:
        seen = addition.seen
        folder, status = self._folder(seen.path), self._status(seen)
        if folder is None or status is None:
            return None
        by = login_name(status.st_uid)
        source = os.path.relpath(seen.path, os.path.join(self._root, os.fsencode(folder)))
        # The kernel sets this time when a file is made, renamed or linked.
        is_new = status.st_ctime >= self._memory.labels_since or not self._labels.is_of_model(folder)
        label = self._labels.label(folder) if addition.says and is_new else None
        return Found(seen.path, folder, source, seen[1:], addition.sha256, label, by)

    def _folder(self, path: bytes) -> str | None:
        top = os.path.join(self._root, b"")
        return folder_of(path[len(top) :]) if path.startswith(top) else None

    def _status(self, seen: FileSnapshot) -> os.stat_result | None:
        """Return the status of a file, None if it is not as it was seen."""
        try:
            found = self._linked.status(seen.path)
        except OSError:
            return None
        same = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) == seen[1:]
        return found if same else None
