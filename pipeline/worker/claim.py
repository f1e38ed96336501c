"""The first step of a file: claim it and move it from its inbox into the spool."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from db.connection.engine import DatabaseUnavailable
from db.ledger.ledger import Ledger, SettledFile
from pipeline.companions import moving
from pipeline.companions.late import LateCompanions
from pipeline.config import Settings
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.files import moves
from pipeline.files.folders import SYSTEM_ERRNOS, try_name
from pipeline.files.safe_open import (
    NotRegularError,
    RefusedError,
    reached,
    refuse_unwritable,
)
from pipeline.watch.batch_cutter import BatchCutter
from pipeline.watch.groups import is_settled
from pipeline.watch.inbox import Inbox
from pipeline.worker.held_file import InProgressFile, RetryQueue

log = logging.getLogger(__name__)


class Intake:
    """Hold settled files until they are claimed, and tell each inbox what happened to its files."""

    def __init__(
        self, inboxes: Sequence[Inbox], ledger: Ledger, settings: Settings, monotonic: Callable[[], float]
    ) -> None:
        self._inboxes = {os.fsencode(inbox.path): inbox for inbox in inboxes}
        self._in_turn = deque(inboxes)
        self._ledger = ledger
        self._cutter: BatchCutter[SettledFile] = BatchCutter(settings.batch.size, settings.batch.wait_seconds)
        self._monotonic = monotonic
        self._late = (
            LateCompanions(ledger, lambda: moves_lock(settings, 0)) if settings.filing.companions else None
        )

    @property
    def held(self) -> int:
        """How many settled files wait to be claimed."""
        return len(self._cutter.items)

    def poll(self, queued: int) -> None:
        """Take no more settled files than the next batch has room for beside `queued` claimed ones."""
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
            why = "was put back by `undo`; left alone until it is changed or renamed"
            self._inbox(file).postpone(file, why)
        settled = [f for path, f in by_path.items() if path not in put_back and self._is_still_settled(f)]
        return [file for file in settled if not self._late or self._late.leaves(file, self._inbox(file))]

    def _put_back(self, by_path: Mapping[bytes, SettledFile]) -> set[bytes]:
        """Return which files an undo has put back, also before their inbox was moved to another folder."""
        here = self._ledger.put_back({path: file.identity for path, file in by_path.items()})
        moved = self._ledger.put_back_elsewhere(by_path, [os.fsdecode(inbox) for inbox in self._inboxes])
        return here | {path for path, before in moved.items() if not os.path.lexists(before)}

    def forget(self, file: InProgressFile) -> None:
        """Tell its inbox that a file was taken or is gone."""
        if inbox := self._inboxes.get(file.inbox):
            inbox.forget(file)

    def refuse(self, file: InProgressFile, error: OSError) -> None:
        """Tell its inbox that a file could not be moved."""
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


class ClaimStep:
    """Claim settled files and rename them into the spool. `now` gives UTC."""

    def __init__(
        self,
        intake: Intake,
        ledger: Ledger,
        settings: Settings,
        retries: RetryQueue,
        now: Callable[[], datetime],
    ) -> None:
        self._intake = intake
        self._ledger = ledger
        self._settings = settings
        self._spool = os.fsencode(settings.spool)
        self._retries = retries
        self._now = now
        self._outside: deque[InProgressFile] = deque()
        self._incomplete: deque[InProgressFile] = deque()
        self._arrived: list[InProgressFile] = []
        self._gone: list[InProgressFile] = []
        self._refused: list[tuple[InProgressFile, OSError]] = []
        self._to_vanish: list[int] = []
        self._to_unclaim: list[int] = []
        self._unsynced: dict[bytes, None] = {}

    @property
    def held(self) -> int:
        """How many files are claimed and not yet durably in the spool."""
        moved = len(self._incomplete) + len(self._arrived)
        return len(self._outside) + moved + len(self._gone) + len(self._refused)

    def enqueue(self, file: InProgressFile) -> None:
        """Take a claimed file that is still in its inbox."""
        self._outside.append(file)

    def enqueue_incomplete(self, file: InProgressFile) -> None:
        """Take a claimed file that is in the spool, perhaps without its companions."""
        self._incomplete.append(file)

    def clear(self) -> None:
        """Forget the files in the queues, before recovery reads all of them from the ledger."""
        self._outside.clear()
        self._incomplete.clear()

    def claim_batch(self) -> bool:
        """Claim the next batch of settled files if it is due; return whether there was one."""
        batch = self._intake.cut()
        try:
            settled = self._intake.claimable(batch)
            self._claim(settled)
        except (OSError, DatabaseUnavailable):
            self._intake.put_back(batch)
            raise
        return bool(settled)

    def bring_in(self) -> list[InProgressFile]:
        """Rename claimed files into the spool, durably; return those that are in it now.

        A file that is gone is recorded as vanished; a file that could not be moved is unclaimed.
        """
        while self._outside:
            self._bring_in(self._outside[0])
            self._outside.popleft()
        while self._incomplete:
            self._arrived.append(self._complete(self._incomplete[0]))
            self._incomplete.popleft()
        self._commit()
        moves.sync_folders(self._unsynced)
        self._unsynced.clear()
        arrived = [refreshed(self._ledger, file, self._now()) for file in self._arrived]
        for file in (*self._arrived, *self._gone):
            self._intake.forget(file)
        for file, error in self._refused:
            self._intake.refuse(file, error)
        for finished in (self._arrived, self._gone, self._refused):
            finished.clear()
        return arrived

    def _claim(self, settled: Sequence[SettledFile]) -> None:
        """Commit the claims before any file is moved, but not for files that are claimed already."""
        known = {(file.inbox, file.source) for file in (*self._outside, *self._retries)}
        new = [file for file in settled if (os.fsencode(file.inbox), file.source) not in known]
        if not new:
            return
        refuse_unwritable(self._spool)
        claimed = self._ledger.claim(new, self._now())
        for row, file in zip(claimed, new, strict=True):
            spool = os.path.join(self._spool, os.fsencode(row.spool_name))
            inbox = os.fsencode(file.inbox)
            claimed_file = InProgressFile(row.id, inbox, file.source, spool, file.identity)
            self._outside.append(claimed_file._replace(companions=file.companions))

    def _commit(self) -> None:
        """Record files that are gone or refused, each once even if the next statement fails."""
        if self._to_vanish:
            self._ledger.vanish(self._to_vanish, self._now())
            self._to_vanish.clear()
        if self._to_unclaim:
            self._ledger.unclaim(self._to_unclaim)
            self._to_unclaim.clear()

    def _bring_in(self, file: InProgressFile) -> None:
        try:
            self._rename(file)
        except (FileNotFoundError, NotADirectoryError):
            self._gone.append(file)
            self._to_vanish.append(file.id)
        except moves.FolderError:
            raise
        except OSError as error:
            # An inbox that was mounted read-only a moment ago affects only its own files.
            if error.errno in SYSTEM_ERRNOS - {errno.EROFS}:
                raise
            self._refuse(file, error)
        else:
            self._unsynced |= dict.fromkeys((os.path.dirname(file.origin), self._spool))
            (self._incomplete if file.companions else self._arrived).append(file)

    def _complete(self, file: InProgressFile) -> InProgressFile:
        """Move the companions of a file after it; those that cannot be moved are not its own any more."""
        kept = moving.bring_in(file.inbox, file.source, file.spool, file.companions)
        self._unsynced |= dict.fromkeys((os.path.dirname(file.origin), self._spool))
        if kept != file.companions:
            self._ledger.set_companions(file.id, kept)
        return file._replace(companions=kept)

    def _refuse(self, file: InProgressFile, error: OSError) -> None:
        """Unclaim a file that could not be moved. Raises OSError if the spool is the reason."""
        try_name(self._spool)
        if os.path.lexists(file.spool):  # it was moved in spite of the error
            self._retries.add(file, self._settings.watch.rescan_seconds)
        else:
            self._refused.append((file, error))
            self._to_unclaim.append(file.id)

    def _rename(self, file: InProgressFile) -> None:
        with reached(file.inbox, file.source) as path:
            moves.move(path, file.spool)
            if put_back_irregular(file):
                raise FileNotFoundError(errno.ENOENT, "is not a regular file any more", file.origin)


def put_back_irregular(file: InProgressFile) -> bool:
    """Move back a link or folder that took the file's name; return whether it was one. Raises OSError."""
    if stat.S_ISREG(os.lstat(file.spool).st_mode):
        return False
    with reached(file.inbox, file.source) as path:
        folder, name = os.path.split(path)
        moves.rename(file.spool, moves.destination(folder, name, os.path.lexists))
    log.warning("%a is not a regular file any more; left in its inbox", os.fsdecode(file.origin))
    return True


def refreshed(ledger: Ledger, file: InProgressFile, at: datetime) -> InProgressFile:
    """Return a file with the identity that it has in the spool, and record another size or mtime.

    Another file may have got into the spool under the same name.
    """
    try:
        identity = moves.identity(file.spool)
    except FileNotFoundError:
        return file  # the next step finds it missing
    if identity == file.identity:
        return file
    if identity[2:] != file.identity[2:]:
        ledger.reclaim(file.id, identity[2], identity[3], at)
    return file._replace(identity=identity)
