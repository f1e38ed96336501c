"""Settled files on their way from the inboxes to the claim."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from db.ledger.ledger import Ledger, SettledFile
from pipeline.companions.late import LateCompanions
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.files import moves
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.safe_open import NotRegularError, RefusedError
from pipeline.originals import companions
from pipeline.originals.memory import OriginalMemory
from pipeline.settings.config import Settings
from pipeline.watch.batch_cutter import BatchCutter
from pipeline.watch.groups import is_settled, with_names
from pipeline.watch.inbox import Inbox
from pipeline.worker.steps.held_file import InProgressFile


class Intake:
    """Hold settled files until they are claimed, and tell each inbox what happened to its files."""

    def __init__(
        self,
        inboxes: Sequence[Inbox],
        ledger: Ledger,
        settings: Settings,
        monotonic: Callable[[], float],
        originals: OriginalMemory | None = None,
    ) -> None:
        self._originals = originals
        self._inboxes = {os.fsencode(inbox.path): inbox for inbox in inboxes}
        self._in_turn = deque(inboxes)
        self._ledger = ledger
        self._cutter: BatchCutter[SettledFile] = BatchCutter(settings.batch.size, settings.batch.wait_seconds)
        self._monotonic = monotonic
        late = LateCompanions(ledger, lambda: moves_lock(settings, 0), self)
        self._late = late if settings.filing.companions else None

    @property
    def held(self) -> int:
        """How many settled files wait to be claimed."""
        return len(self._cutter.items)

    def poll(self, queued: int) -> None:
        """Take no more settled files than the next batch has room for beside `queued` claimed ones."""
        if self._originals:
            self._originals.load()
        self._in_turn.rotate(-1)
        for inbox in self._in_turn:
            settled = inbox.poll(limit=max(0, self._cutter.room - queued))
            self._cutter.add(settled, self._monotonic())

    def cut(self) -> list[SettledFile]:
        """Return the next batch, empty if it is not due yet."""
        return self._cutter.cut(self._monotonic())

    def put_back(self, batch: Sequence[SettledFile]) -> None:
        """Keep a batch that could not be claimed."""
        self._cutter.put_back(batch)

    def claimable(self, batch: Sequence[SettledFile]) -> list[SettledFile]:
        """Return each file of a batch once that may be claimed now. Raises OSError, DatabaseUnavailable."""
        by_path = {file.path: file for file in batch}
        put_back = self._put_back(by_path) if by_path else set()
        for file in map(by_path.__getitem__, put_back):
            why = "was put back, or failed; left alone until it is changed or renamed"
            self._inbox(file).postpone(file, why)
        left = [file for path, file in by_path.items() if path not in put_back]
        settled = [file for file in self._with_earlier_companions(left) if self._is_still_settled(file)]
        if not self._late:
            return settled
        photos = [file for file in settled if self._late.leaves(file, self._inbox(file))]
        if photos:
            self._late.claimed()
        return photos

    def _put_back(self, by_path: Mapping[bytes, SettledFile]) -> set[bytes]:
        """Return which files an undo has put back, also before their inbox was moved to another folder."""
        here = self._ledger.put_back({path: file.identity for path, file in by_path.items()})
        moved = self._ledger.put_back_elsewhere(by_path, [os.fsdecode(inbox) for inbox in self._inboxes])
        return here | {path for path, before in moved.items() if not os.path.lexists(before)}

    def _with_earlier_companions(self, files: Sequence[SettledFile]) -> list[SettledFile]:
        """Add to originals that changed the companions that were taken with them, and are still there."""
        if not (self._originals and self._late):
            return [*files]
        stay = [file for file in files if file.action]
        earlier = {
            inbox: self._originals.earlier_companions(inbox, [f.source for f in stay if f.inbox == inbox])
            for inbox in {file.inbox for file in stay}
        }
        return [with_names(file, earlier.get(file.inbox, {}).get(file.source, ())) for file in files]

    def remember(self, file: InProgressFile, *, taken: bool = True) -> None:
        """Remember that the original of a file was taken, or was not; one that moves is not remembered."""
        if self._originals and file.action:
            remember = self._originals.add if taken else self._originals.forget
            remember(os.fsdecode(file.inbox), file.source, file.identity, file.companions)

    def put_beside(self, action: str, inbox: bytes, source: bytes, goal: bytes) -> bool:
        """Make a companion of an original that stays; return False if another file is there."""
        return companions.put_beside(action, inbox, source, goal)

    def taken(self, inbox: str, source: bytes) -> None:
        """Remember a companion that was taken after its photo."""
        if self._originals:
            self._originals.add_companion(inbox, source)

    def forget(self, file: InProgressFile) -> None:
        """Tell its inbox that a file was taken or is gone."""
        if inbox := self._inboxes.get(file.inbox):
            inbox.forget(file)

    def refuse(self, file: InProgressFile, error: OSError) -> None:
        """Tell its inbox that a file could not be taken."""
        self.remember(file, taken=False)
        if (inbox := self._inboxes.get(file.inbox)) is None:
            return
        if isinstance(error, moves.SourceChangedError):
            inbox.postpone(file, "was written to while it was copied; waiting until it is complete")
        else:
            inbox.refuse(file, "take", str(error.strerror))

    def _inbox(self, file: SettledFile) -> Inbox:
        return self._inboxes[os.fsencode(file.inbox)]

    def _is_still_settled(self, file: SettledFile) -> bool:
        inbox = self._inbox(file)
        try:
            if is_settled(file):
                return True
            inbox.postpone(file, "is being written to; waiting until it is complete")
        except (FileNotFoundError, NotADirectoryError, NotRegularError):
            inbox.forget(file)
        except RefusedError as error:
            inbox.refuse(file, "take", str(error.strerror))
        except OSError as error:
            if error.errno in SYSTEM_ERRNOS:
                raise
            inbox.refuse(file, "read", str(error.strerror))
        return False
