"""Put each unfinished file of the ledger back into the queue of the step that comes next for it.

It runs at start, before the inboxes are watched, and for each file that is retried. It needs only the ledger
and the place of the file, and is idempotent.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from datetime import datetime

from db.ledger.ledger import Entry, FileDecision, Ledger
from pipeline.companions.strays import photo_in_spool, put_beside
from pipeline.files import moves
from pipeline.files.links import evidence
from pipeline.files.safe_open import reached
from pipeline.originals import companions
from pipeline.settings.config import Settings
from pipeline.worker.steps.claim import ClaimStep, identify
from pipeline.worker.steps.classify import ClassifyStep
from pipeline.worker.steps.held_file import InProgressFile, MissingFiles, RetryQueue, put_back_irregular
from pipeline.worker.steps.place import PlaceStep

log = logging.getLogger(__name__)

_SPOOL_NAME = re.compile(rb"(\d+)-[0-9a-f]{8}")


class Recovery:
    """Put unfinished files into the queues of the steps. A file that cannot be is retried later."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        claim: ClaimStep,
        classify: ClassifyStep,
        place: PlaceStep,
        retries: RetryQueue,
        missing: MissingFiles,
    ) -> None:
        self._ledger = ledger
        self._spool = os.fsencode(settings.spool)
        self._retry_seconds = settings.watch.rescan_seconds
        self._claim = claim
        self._classify = classify
        self._place = place
        self._retries = retries
        self._missing = missing
        self._crashed = True

    def start(self, at: datetime, crashed: bool) -> int:
        """Enqueue all unfinished files; return how many there are.

        With `crashed` a file that was being decoded becomes a crash suspect.
        """
        self._crashed = crashed
        self._claim.clear()
        self._classify.clear()
        self._place.clear()
        for name in self._strays():
            take_up_stray(self._ledger, self._spool, name, at)
        entries = self._ledger.unfinished()
        for entry in entries:
            self._enqueue_or_retry(entry, at)
        return len(entries)

    def retry(self, file: InProgressFile, at: datetime) -> None:
        """Enqueue a file of the retry queue, and remove it from that."""
        for entry in self._ledger.entries([file.id]):
            if not self._enqueue_or_retry(entry, at):
                return
        self._retries.remove(file)

    def _enqueue_or_retry(self, entry: Entry, at: datetime) -> bool:
        try:
            self.enqueue(entry, at)
        except OSError as error:  # it concerns this file only: the others go on
            log.error("%a cannot be taken up: %s; trying again later", os.fsdecode(entry.source), error)
            self._retries.add(self._file(entry), self._retry_seconds)
            return False
        return True

    def enqueue(self, entry: Entry, at: datetime) -> None:
        """Put one unfinished file into the queue of the step that comes next for it."""
        file = self._file(entry)
        in_spool = os.path.lexists(file.spool)
        if entry.state == "decided":
            self._place.enqueue(file)
        elif in_spool and not file.action and put_back_irregular(file):
            self._ledger.vanish([file.id], at)
        elif in_spool and self._may_be_unsynced(entry, file):
            os.unlink(file.spool)
            self._claim.enqueue(file)
        elif in_spool and not file.action and self._is_half_claimed(file):
            # An original that stays is there too, and must stay.
            with reached(file.inbox, file.source) as origin:
                moves.resume(origin, file.spool, moves.sha256(origin))
            self._arrive(file)
        elif in_spool and entry.state == "claimed":
            self._arrive(file)
        elif in_spool:
            suspect = entry.state == "decoding" and self._crashed
            self._classify.enqueue(self._refreshed(file), crash_suspect=suspect)
        elif self._is_still_outside(file):
            self._claim.enqueue(file)
        elif entry.state == "decoding":
            self._missing.add(file)  # it was in the spool, so the user did not take it back
        else:
            log.warning("%a was gone before it could be taken", os.fsdecode(file.origin))
            if file.action:
                companions.discard(file.action, file.inbox, file.source, file.spool, file.companions)
            self._ledger.vanish([file.id], at)
            self._claim.remember(file, taken=False)

    def _refreshed(self, file: InProgressFile) -> InProgressFile:
        now = self._claim.refreshed(file)
        if now.identity[:2] != file.identity[:2]:
            identify(self._ledger, [now])
        return now

    def _arrive(self, file: InProgressFile) -> None:
        """Enqueue a claimed file that is in the spool; its companions may still be in its inbox."""
        if file.companions:
            self._claim.enqueue_incomplete(file)
        else:
            self._classify.enqueue(self._refreshed(file))

    def _file(self, entry: Entry) -> InProgressFile:
        decision = None
        if entry.verdict is not None:
            decision = FileDecision(
                entry.id, entry.verdict, reason=entry.reason, destination=entry.destination
            )
        return InProgressFile(
            id=entry.id,
            inbox=os.fsencode(entry.inbox),
            source=entry.source,
            spool=os.path.join(self._spool, os.fsencode(entry.spool_name)),
            identity=(entry.dev, entry.ino, entry.bytes, entry.mtime_ns),
            attempts=entry.attempts,
            sha256=entry.sha256,
            decision=decision,
            resumed=True,
            action=entry.action,
            link=entry.link,
            companions=entry.companion_names,
            seen_at=entry.seen_at,
        )

    def _is_still_outside(self, file: InProgressFile) -> bool:
        """Return whether the file in the inbox is the one that was claimed, perhaps with other content."""
        try:
            with reached(file.inbox, file.source) as origin:
                status = os.lstat(origin)
        except (FileNotFoundError, NotADirectoryError):
            return False
        # With any action, `take` compares the whole identity.
        same = bool(file.action) or (status.st_dev, status.st_ino) == file.identity[:2]
        return stat.S_ISREG(status.st_mode) and same

    def _may_be_unsynced(self, entry: Entry, file: InProgressFile) -> bool:
        """Return whether a copy whose original is there may not be durable: its row has no identity of it."""
        return entry.state == "claimed" and file.action == "copy" and self._is_half_claimed(file)

    def _is_half_claimed(self, file: InProgressFile) -> bool:
        """Return whether a claim by copy was interrupted before the original was removed."""
        try:
            with reached(file.inbox, file.source) as origin:
                return moves.identity(origin)[1:] == file.identity[1:]  # st_dev may differ after a reboot
        except (FileNotFoundError, NotADirectoryError):
            return False

    # --- files in the spool without an unfinished row ---------------------------------------------------

    def _strays(self) -> list[bytes]:
        unfinished = {os.fsencode(entry.spool_name) for entry in self._ledger.unfinished()}
        with os.scandir(self._spool) as entries:
            names = [e.name for e in entries if e.is_symlink() or e.is_file(follow_symlinks=False)]
        strays = [name for name in names if not {name, photo_in_spool(name)} & unfinished]
        return [name for name in strays if not name.startswith(b".pawsort-")]


def _belongs(path: bytes, entry: Entry) -> bool:
    """Put a companion in the spool where it belongs; return whether that was done.

    One of an original that stays may be removed instead, unless its photo still needs it.
    """
    if (entry.action is None or entry.state == "filed") and put_beside(path, entry):
        return True
    return entry.action is not None and companions.discard_stray(path, entry)


def take_up_stray(ledger: Ledger, spool: bytes, name: bytes, at: datetime) -> bool:
    """Take up a file in the spool that has no unfinished row; return whether it had been filed.

    A file that had been filed is filed again; any other gets a row and is processed, except a symbolic link.
    Raises DatabaseError.
    """
    path = os.path.join(spool, name)
    photo = photo_in_spool(name)
    match = _SPOOL_NAME.fullmatch(photo)
    known = ledger.entries([int(match[1])]) if match else []
    entry = next((e for e in known if os.fsencode(e.spool_name) == photo), None)
    if photo != name and entry and _belongs(path, entry):
        return True
    if os.path.islink(path) and not (entry and entry.link):
        log.warning("%a is a link that the worker did not put there; left", os.fsdecode(path))
        return False
    proof = evidence(entry.link, entry.sha256) if entry else None
    if name == photo and entry and entry.state == "filed" and entry.path and proof:
        # A power cut can undo a rename that was committed, or leave both names of a copied file.
        log.warning("%a was filed but lies in the spool; filing it again", os.fsdecode(path))
        try:
            moves.resume(path, entry.path, proof)
        except OSError as error:
            log.error(
                "%a cannot be filed again (%s); it is a delivery of its own now", os.fsdecode(path), error
            )
        else:
            return True
    else:
        log.warning("%a is in the spool without a row; taking it up", os.fsdecode(path))
    ledger.adopt(name, at)
    return False
