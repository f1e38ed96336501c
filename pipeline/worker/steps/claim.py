"""The first step of a file: claim it and move it from its inbox into the spool."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from db.connection.engine import DatabaseUnavailable
from db.ledger.ledger import Ledger, SettledFile
from pipeline.companions import moving
from pipeline.files import moves
from pipeline.files.folders import SYSTEM_ERRNOS, try_name
from pipeline.files.links import content_identity
from pipeline.files.safe_open import reached, refuse_unwritable
from pipeline.originals import companions
from pipeline.originals.taking import sync_copy, take
from pipeline.settings.config import Settings
from pipeline.worker.steps.held_file import InProgressFile, RetryQueue, put_back_irregular
from pipeline.worker.steps.intake import Intake

log = logging.getLogger(__name__)


LINKS = ("hardlink", "symlink")
"""Actions after which a change of the original changes what was made of it."""


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
        self._sync_copies()
        moves.sync_folders(self._unsynced)
        self._unsynced.clear()
        for file in self._arrived:
            self._intake.remember(file)
        for file in self._gone:
            self._intake.remember(file, taken=False)
        arrived = [self.refreshed(file) for file in self._arrived]
        identify(self._ledger, arrived)
        for file in (*self._arrived, *self._gone):
            self._intake.forget(file)
        for file, error in self._refused:
            self._intake.refuse(file, error)
        for finished in (self._arrived, self._gone, self._refused):
            finished.clear()
        return arrived

    def refreshed(self, file: InProgressFile) -> InProgressFile:
        """Return a file with the identity that it has in the spool, and record another size or mtime.

        Another file may have got into the spool under the same name, or a program has written to it. The
        original of a link is then remembered as it is now.
        """
        try:
            identity = content_identity(file.spool, file.link)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and (not file.link or error.errno in SYSTEM_ERRNOS):
                raise
            return file  # the next step finds it, or the original, missing
        if identity == file.identity:
            return file
        changed = file._replace(identity=identity)
        if identity[2:] != file.identity[2:]:
            linked = identity if file.action in LINKS else None
            self._ledger.reclaim(file.id, identity[2], identity[3], self._now(), linked)
            if linked:
                self.remember(changed)
        return changed

    def remember(self, file: InProgressFile, *, taken: bool = True) -> None:
        """Remember that the original of a file was taken, or was not."""
        self._intake.remember(file, taken=taken)

    def _claim(self, settled: Sequence[SettledFile]) -> None:
        """Commit the claims before any file is moved, but not for files that are claimed already."""
        known = {(file.inbox, file.source) for file in (*self._outside, *self._retries)}
        new = [file for file in settled if (os.fsencode(file.inbox), file.source) not in known]
        if not new:
            return
        if self._settings.filing.xmp:
            new = [replace(file, keyword="") for file in new]
        refuse_unwritable(self._spool)
        claimed = self._ledger.claim(new, self._now())
        for row, file in zip(claimed, new, strict=True):
            spool = os.path.join(self._spool, os.fsencode(row.spool_name))
            inbox = os.fsencode(file.inbox)
            link = (inbox, file.source) if file.action == "symlink" else None
            taken = InProgressFile(row.id, inbox, file.source, spool, file.identity, seen_at=file.seen_at)
            self._outside.append(taken._replace(action=file.action, link=link, companions=file.companions))

    def _sync_copies(self) -> None:
        for file in [file for file in self._arrived if file.action == "copy" and os.path.lexists(file.spool)]:
            try:
                for path in (file.spool, *(moving.spooled(file.spool, name) for name in file.companions)):
                    sync_copy(path)
            except OSError:
                self._arrived.remove(file)
                # The first that cannot be synced is gone: the photo, or a companion.
                (self._incomplete if os.path.lexists(file.spool) else self._outside).append(file)
                raise

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
            self._take(file)
        except (FileNotFoundError, NotADirectoryError):
            self._discard(file)
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
            folders = (self._spool,) if file.action else (os.path.dirname(file.origin), self._spool)
            self._unsynced |= dict.fromkeys(folders)
            (self._incomplete if file.companions else self._arrived).append(file)

    def _complete(self, file: InProgressFile) -> InProgressFile:
        """Bring the companions of a file after it; those that cannot be taken are not its own any more."""
        group = file.inbox, file.source, file.spool, file.companions
        kept = companions.bring_in(file.action, *group) if file.action else moving.bring_in(*group)
        folders = (self._spool,) if file.action else (os.path.dirname(file.origin), self._spool)
        self._unsynced |= dict.fromkeys(folders)
        if kept != file.companions:
            self._ledger.set_companions(file.id, kept)
        return file._replace(companions=kept)

    def _refuse(self, file: InProgressFile, error: OSError) -> None:
        """Unclaim a file that could not be moved. Raises OSError if the spool is the reason."""
        try_name(self._spool)
        if os.path.lexists(file.spool):  # it was moved in spite of the error
            self._retries.add(file, self._settings.watch.rescan_seconds)
        else:
            self._discard(file)
            self._refused.append((file, error))
            self._to_unclaim.append(file.id)

    def _discard(self, file: InProgressFile) -> None:
        """Remove what an earlier try made of the companions of an original that cannot be taken."""
        if file.action:
            companions.discard(file.action, file.inbox, file.source, file.spool, file.companions)

    def _take(self, file: InProgressFile) -> None:
        if file.action:
            take(file.action, file.inbox, file.source, file.spool, file.identity)
            return
        with reached(file.inbox, file.source) as path:
            moves.move(path, file.spool)
            if put_back_irregular(file):
                raise FileNotFoundError(errno.ENOENT, "is not a regular file any more", file.origin)


def identify(ledger: Ledger, files: Sequence[InProgressFile]) -> None:
    """Record the identities of copies, which are not those of their originals."""
    ledger.identify({file.id: file.identity for file in files if file.action == "copy"})
