"""Put each file that the ledger calls unfinished back into the step where it belongs.

Called at start, before anything is watched, and for a file that has rested: what the ledger says and where
the file lies is all there is to know. It changes nothing that it could not change again.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from datetime import datetime

from db.ledger.ledger import Entry, Ledger
from pipeline.files import moves
from pipeline.files.safe_open import reached
from pipeline.worker.claim import ClaimStep, give_back_odd, look_again
from pipeline.worker.classify import ClassifyStep
from pipeline.worker.held_file import InProgressFile, RetryQueue
from pipeline.worker.place import PlaceStep

log = logging.getLogger(__name__)

_SPOOL_NAME = re.compile(rb"(\d+)-[0-9a-f]{8}")


class Recovery:
    """Sort unfinished files into the steps of a worker that starts."""

    def __init__(
        self,
        ledger: Ledger,
        spool: bytes,
        claiming: ClaimStep,
        answering: ClassifyStep,
        placing: PlaceStep,
        resting: RetryQueue,
        rest_seconds: float,
    ) -> None:
        self._resting = resting
        self._rest_seconds = rest_seconds
        self._crashed = True
        self._ledger = ledger
        self._spool = spool
        self._claiming = claiming
        self._answering = answering
        self._placing = placing

    def start(self, at: datetime, crashed: bool) -> int:
        """Take up everything that was left unfinished; return how many files that is.

        With `crashed` a file that was being decoded is suspected to have been the reason.
        """
        self._crashed = crashed
        for queue in (self._claiming.outside, self._answering.waiting, self._answering.suspects):
            queue.clear()
        self._placing.decided.clear()
        for name in self._strays():
            take_up_stray(self._ledger, self._spool, name, at)
        entries = self._ledger.unfinished()
        for entry in entries:
            self._adopt_or_rest(entry, at)
        return len(entries)

    def again(self, held: InProgressFile, at: datetime) -> None:
        """Take up a file that has rested."""
        for entry in self._ledger.entries([held.id]):
            if not self._adopt_or_rest(entry, at):
                return
        self._resting.wake(held)

    def _adopt_or_rest(self, entry: Entry, at: datetime) -> bool:
        try:
            self.adopt(entry, at)
        except OSError as error:  # of this one file: the others go on
            log.error("%a cannot be taken up: %s; trying again later", os.fsdecode(entry.source), error)
            self._resting.add(self._held(entry), self._rest_seconds)
            return False
        return True

    def adopt(self, entry: Entry, at: datetime) -> None:
        """Put one unfinished file into the queue of the step that comes next for it."""
        held = self._held(entry)
        in_spool = os.path.lexists(held.spool)
        if entry.state == "decided":
            self._placing.decided.append(held)
        elif in_spool and give_back_odd(held):
            self._ledger.vanish([held.id], at)
        elif in_spool and self._is_half_claimed(held):
            with reached(held.inbox, held.source) as origin:
                moves.resume(origin, held.spool, moves.sha256(origin))
            self._answering.waiting.append(look_again(self._ledger, held, at))
        elif in_spool:
            suspect = entry.state == "decoding" and self._crashed
            queue = self._answering.suspects if suspect else self._answering.waiting
            queue.append(look_again(self._ledger, held, at))
        elif self._is_still_outside(held):
            self._claiming.outside.append(held)
        elif entry.state == "decoding":
            self._answering.miss(held)  # it was in the spool, so it is not the user who took it back
        else:
            log.warning("%a was gone before it could be taken", os.fsdecode(held.origin))
            self._ledger.vanish([held.id], at)

    def _held(self, entry: Entry) -> InProgressFile:
        return InProgressFile(
            id=entry.id,
            inbox=os.fsencode(entry.inbox),
            source=entry.source,
            spool=os.path.join(self._spool, os.fsencode(entry.spool_name)),
            identity=(entry.dev, entry.ino, entry.bytes, entry.mtime_ns),
            attempts=entry.attempts,
            sha256=entry.sha256,
            outcome=entry.verdict,
            destination=entry.destination,
            resumed=True,
        )

    def _is_still_outside(self, held: InProgressFile) -> bool:
        """Tell whether the file in the inbox is the one that was claimed, also if it was written to."""
        try:
            with reached(held.inbox, held.source) as origin:
                status = os.lstat(origin)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) == held.identity[:2]

    def _is_half_claimed(self, held: InProgressFile) -> bool:
        """Tell whether a claim by copy was cut off before the original was removed."""
        try:
            with reached(held.inbox, held.source) as origin:
                return moves.identity(origin)[1:] == held.identity[1:]  # st_dev may differ after a reboot
        except (FileNotFoundError, NotADirectoryError):
            return False

    # --- files in the spool that no unfinished row speaks of ------------------------------------------

    def _strays(self) -> list[bytes]:
        unfinished = {os.fsencode(entry.spool_name) for entry in self._ledger.unfinished()}
        with os.scandir(self._spool) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        return [name for name in names if name not in unfinished and not name.startswith(b".pawsort-")]


def take_up_stray(ledger: Ledger, spool: bytes, name: bytes, at: datetime) -> bool:
    """Take up a file in the spool that no unfinished row speaks of; return whether it had been filed.

    One that had been filed is filed again, any other is given a row and waits. Raises DatabaseError.
    """
    path = os.path.join(spool, name)
    match = _SPOOL_NAME.fullmatch(name)
    known = ledger.entries([int(match[1])]) if match else []
    entry = next((e for e in known if os.fsencode(e.spool_name) == name), None)
    if entry and entry.state == "filed" and entry.path and entry.sha256:
        # A power cut can undo a rename that was committed, or leave both names of a copied file.
        log.warning("%a was filed but lies in the spool; filing it again", os.fsdecode(path))
        try:
            moves.resume(path, entry.path, entry.sha256)
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
