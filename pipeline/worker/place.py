"""The last steps of a held file: its answer into the ledger, then the file into its folder."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from db.ledger.ledger import Ledger, Verdict
from models.bundle.bundle import Bundle
from pipeline.config import Settings
from pipeline.files import moves, naming
from pipeline.files.folders import SYSTEM_ERRNOS, refused_part
from pipeline.files.safe_open import refuse_unwritable
from pipeline.watch.refused_folders import Refusals
from pipeline.worker.held_file import Answer, InProgressFile, RetryQueue

log = logging.getLogger(__name__)


class PlaceStep:
    """Commit answers, then carry the files to where they belong. `now` gives UTC.

    `root` is what `sorted` was when the worker started, by device and inode; `moved` are files that are in
    their folders, and not yet noted as filed; `refusals` are files that wait because their folder refuses
    them, while their neighbours are filed.
    """

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        bundle: Bundle,
        resting: RetryQueue,
        now: Callable[[], datetime],
        root: tuple[int, int],
    ) -> None:
        self.judged: deque[Answer] = deque()
        self.decided: deque[InProgressFile] = deque()
        self.moved: list[InProgressFile] = []
        self.filed: list[InProgressFile] = []
        self.missing: set[int] = set()
        self.refusals = Refusals[int]()
        self._ledger = ledger
        self._settings = settings
        self._bundle = bundle
        self._sorted = os.fsencode(settings.sorted)
        self._spool = os.fsencode(settings.spool)
        self._resting = resting
        self._now = now
        self._settled: list[InProgressFile] = []
        self._unsynced: dict[bytes, None] = {}
        self._root = root

    @property
    def held(self) -> int:
        """How many files have an answer and are not yet in their folder."""
        return len(self.judged) + len(self.decided) + len(self.moved)

    def conclude(self) -> list[InProgressFile]:
        """Choose destinations and commit the answers, which stand from then on; return their files."""
        for answer in list(self.judged):
            if not self._is_unchanged(answer.held):
                self.judged.remove(answer)
                self._settled.append(answer.held)
        promised = self._promised()
        verdicts: list[Verdict] = []
        chosen: list[InProgressFile] = []
        for answer in self.judged:
            destination = self._choose(answer.outcome, answer.held.source, promised)
            promised.add(destination)
            verdicts.append(self._verdict(answer, destination))
            chosen.append(replace(answer.held, outcome=answer.outcome, destination=destination))
        if verdicts:
            self._ledger.decide(verdicts, self._now())
        concluded = [*self._settled, *(answer.held for answer in self.judged)]
        self._settled.clear()
        self.judged.clear()
        self.decided.extend(chosen)
        return concluded

    def file(self) -> None:
        """Rename what is decided, make the renames durable, commit that; `filed` has what is done."""
        try:
            while self.decided:
                self._place(self.decided[0])
        finally:
            self._commit_moved()

    def _place(self, held: InProgressFile) -> None:
        destination = held.destination
        assert destination is not None
        if folder_id(self._sorted) != self._root:
            # The empty folder under a disk that was unmounted would swallow what is filed into it.
            raise moves.FolderError(errno.ENOTDIR, "is another folder than at the start", self._sorted)
        if not destination.startswith(os.path.join(self._sorted, b"")):
            self._redirect(held)  # `sorted` was moved, or the settings name another, since this was decided
            return
        try:
            self._move(held, destination)
        except FileExistsError:
            self._redirect(held)
            return
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(held.spool):
                self._miss(held)
                self.decided.popleft()
                return
            # A copy that could not be finished may not have been taken back either.
            self.decided[0] = replace(held, resumed=True)
            self._rename_or_wait(held, destination, error)
            return
        self.decided.popleft()
        self._unsynced |= dict.fromkeys((os.path.dirname(destination), self._spool))
        self.moved.append(held)

    def _rename_or_wait(self, held: InProgressFile, destination: bytes, error: OSError) -> None:
        """Give a refused file a plain name if its name is to blame; else let it rest, and the others go on.

        Raises `error` if it would meet every file.
        """
        root = self._folder_of(destination)
        if self._is_for_all(error, root):
            raise error
        try:
            part = refused_part(destination, root)
        except OSError as refusal:  # the folder takes nothing
            if self._is_for_all(refusal, root):
                raise
            self._wait(held, destination, error if isinstance(error, moves.FolderError) else refusal)
            return
        source = naming.plain_in(held.source, part, destination.split(b"/")[part]) if part else None
        if source is None:
            refuse_unwritable(self._spool)
            if held.resumed:  # once more at once, lest a copy that was not taken back lies there for long
                self._wait(held, destination, error)
            return
        why = os.fsdecode(destination), error.strerror
        log.warning("%a: a name that is refused here (%s); choosing a plain one", *why)
        self._redirect(replace(held, source=source))

    def _is_for_all(self, error: OSError, root: bytes) -> bool:
        """Tell whether an error in a class's folder is one that every other file would meet too."""
        if isinstance(error, moves.FolderError):
            return bool(error.filename == self._sorted)
        if error.errno == errno.EROFS:
            return bool(os.statvfs(self._sorted).f_flag & os.ST_RDONLY)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return folder_id(root)[0] == self._root[0]
        return error.errno in SYSTEM_ERRNOS

    def _wait(self, held: InProgressFile, destination: bytes, error: OSError) -> None:
        self.decided.popleft()
        self._resting.add(held, self._settings.watch.rescan_seconds)
        self.refusals.add(held.id, "file", destination, str(error.strerror))

    def _folder_of(self, destination: bytes) -> bytes:
        """Return the class's folder that a destination is in."""
        return os.path.join(self._sorted, destination[len(self._sorted) + 1 :].split(b"/")[0])

    def _move(self, held: InProgressFile, destination: bytes) -> None:
        moves.make_folders(os.path.dirname(destination), self._folder_of(destination))
        if held.resumed:
            moves.resume(held.spool, destination, held.sha256)
        else:
            moves.move(held.spool, destination)

    def _redirect(self, held: InProgressFile) -> None:
        """Choose again: somebody else took the place in the meantime."""
        assert held.outcome is not None
        destination = self._choose(held.outcome, held.source, self._promised())
        self._ledger.redirect(held.id, destination)
        self.decided[0] = replace(held, destination=destination)

    def _commit_moved(self) -> None:
        if self.moved:
            moves.sync_folders(self._unsynced)
            self._ledger.file([held.id for held in self.moved], self._now())
            for held in self.moved if self.refusals else ():
                self.refusals.clear(held.id)
            self.filed += self.moved
            self.moved, self._unsynced = [], {}

    def _promised(self) -> set[bytes | None]:
        """Return the destinations of files that are not there yet.

        Those that wait count too: of two files of one content with one destination, the second would be taken
        for a copy of the first that was cut off, and removed.
        """
        waiting = (held for _, held in self._resting.files.values())
        return {held.destination for held in (*self.decided, *waiting)}

    def _choose(self, outcome: str, source: bytes, promised: Iterable[bytes | None]) -> bytes:
        folder = os.path.join(self._sorted, os.fsencode(outcome))
        return moves.destination(folder, source, taken=lambda path: path in promised or os.path.lexists(path))

    def _is_unchanged(self, held: InProgressFile) -> bool:
        """Tell whether what was classified is what lies in the spool; if not, let the file rest first."""
        try:
            unchanged = moves.identity(held.spool)[2:] == held.identity[2:]
        except FileNotFoundError:
            self._miss(held)
            return False
        if not unchanged:
            log.warning("%a was written to after it was claimed; starting over", os.fsdecode(held.origin))
            self._resting.add(held, max(1.0, self._settings.watch.settle_seconds))
        return unchanged

    def _miss(self, held: InProgressFile) -> None:
        log.error("%a is gone from the spool; see `pawsort doctor`", os.fsdecode(held.spool))
        self.missing.add(held.id)

    def _verdict(self, answer: Answer, destination: bytes) -> Verdict:
        header = answer.admitted
        return Verdict(
            id=answer.held.id,
            outcome=answer.outcome,
            prediction=answer.prediction,
            confidence=answer.confidence,
            reason=answer.reason,
            detail=answer.detail,
            scores=dict(answer.scores) if answer.scores else None,
            destination=destination,
            format=header.format if header else None,
            width=header.width if header else None,
            height=header.height if header else None,
            taken_at=header.taken_at if header else None,
            sha256=answer.held.sha256,
            model=answer.model or (self._bundle.name if answer.scores else None),
            model_sha256=answer.model_sha256 or (self._bundle.sha256 if answer.scores else None),
            duplicate_of=answer.duplicate_of,
            answer_key=answer.answer_key,
        )


def folder_id(path: bytes) -> tuple[int, int]:
    """Return device and inode of a folder; raises OSError."""
    status = os.stat(path)
    return status.st_dev, status.st_ino
