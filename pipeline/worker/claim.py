"""The first step of a held file: out of its inbox, into the spool."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from db.ledger.ledger import Claim, Ledger
from pipeline.config import Settings
from pipeline.files import moves
from pipeline.files.folders import SYSTEM_ERRNOS, try_name
from pipeline.files.safe_open import leased, opened, reached, refuse_unwritable
from pipeline.watch.inbox import SettledFile
from pipeline.worker.held_file import InProgressFile, RetryQueue

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Brought:
    """What became of claimed files: in the spool, gone from their inbox, or not let go by it and why."""

    arrived: list[InProgressFile] = field(default_factory=list)
    gone: list[InProgressFile] = field(default_factory=list)
    refused: list[tuple[InProgressFile, OSError]] = field(default_factory=list)


class ClaimStep:
    """Claim settled files and rename them into the spool. `now` gives UTC."""

    def __init__(
        self, ledger: Ledger, settings: Settings, resting: RetryQueue, now: Callable[[], datetime]
    ) -> None:
        self.outside: deque[InProgressFile] = deque()
        self._ledger = ledger
        self._settings = settings
        self._spool = os.fsencode(settings.spool)
        self._resting = resting
        self._now = now
        self._brought = Brought()
        self._vanished: list[int] = []
        self._released: list[int] = []
        self._unsynced: dict[bytes, None] = {}

    @property
    def held(self) -> int:
        """How many files are claimed and not yet durably in the spool."""
        brought = self._brought
        return len(self.outside) + len(brought.arrived) + len(brought.gone) + len(brought.refused)

    def claim(self, arrivals: Sequence[SettledFile]) -> None:
        """Commit that these files, each named once, are ours, before any of them is moved."""
        known = {(held.inbox, held.source) for held in self.outside}
        known |= {(held.inbox, held.source) for _, held in self._resting.files.values()}
        new = [a for a in arrivals if (os.fsencode(a.inbox), a.source) not in known]
        if not new:
            return
        refuse_unwritable(self._spool)
        tickets = self._ledger.claim([_claim(arrival) for arrival in new], self._now())
        for ticket, arrival in zip(tickets, new, strict=True):
            spool = os.path.join(self._spool, os.fsencode(ticket.spool_name))
            inbox = os.fsencode(arrival.inbox)
            self.outside.append(InProgressFile(ticket.id, inbox, arrival.source, spool, identity_of(arrival)))

    def bring_in(self) -> Brought:
        """Rename what is claimed into the spool, durably, and return what became of each file.

        A file that is gone is noted as vanished; one that could not be moved is claimed no longer.
        """
        while self.outside:
            self._bring_in(self.outside[0])
            self.outside.popleft()
        self._commit()
        moves.sync_folders(self._unsynced)
        self._unsynced.clear()
        arrived = [look_again(self._ledger, held, self._now()) for held in self._brought.arrived]
        brought, self._brought = self._brought, Brought()
        return replace(brought, arrived=arrived)

    def _commit(self) -> None:
        """Note what is gone or refused, each once, whatever is refused after it."""
        if self._vanished:
            self._ledger.vanish(self._vanished, self._now())
            self._vanished.clear()
        if self._released:
            self._ledger.unclaim(self._released)
            self._released.clear()

    def _bring_in(self, held: InProgressFile) -> None:
        try:
            self._rename(held)
        except (FileNotFoundError, NotADirectoryError):
            self._brought.gone.append(held)
            self._vanished.append(held.id)
        except moves.FolderError:
            raise
        except OSError as error:
            # A file in an inbox that was mounted read-only just now is still not for every file to wait for.
            if error.errno in SYSTEM_ERRNOS - {errno.EROFS}:
                raise
            self._refuse(held, error)
        else:
            self._unsynced |= dict.fromkeys((os.path.dirname(held.origin), self._spool))
            self._brought.arrived.append(held)

    def _refuse(self, held: InProgressFile, error: OSError) -> None:
        """Claim a file no longer, unless the spool is what refuses it: raises OSError then."""
        try_name(self._spool)
        if os.path.lexists(held.spool):  # it was moved, whatever the system says
            self._resting.add(held, self._settings.watch.rescan_seconds)
        else:
            self._brought.refused.append((held, error))
            self._released.append(held.id)

    def _rename(self, held: InProgressFile) -> None:
        with reached(held.inbox, held.source) as path:
            moves.move(path, held.spool)
            if give_back_odd(held):
                raise FileNotFoundError(errno.ENOENT, "is no regular file any more", held.origin)


def give_back_odd(held: InProgressFile) -> bool:
    """Put back what is no regular file: a link or a folder that took the file's name at the last moment.

    Returns whether it was one; nothing was claimed then. Raises OSError.
    """
    if stat.S_ISREG(os.lstat(held.spool).st_mode):
        return False
    with reached(held.inbox, held.source) as path:
        home, name = os.path.split(path)
        moves.rename(held.spool, moves.destination(home, name, os.path.lexists))
    log.warning("%a is no regular file any more; left where it was", os.fsdecode(held.origin))
    return True


def path_of(arrival: SettledFile) -> bytes:
    """Return the absolute path of an arrival."""
    return os.path.join(os.fsencode(arrival.inbox), arrival.source)


def identity_of(arrival: SettledFile) -> moves.Identity:
    """Return what tells this version of a file from every other."""
    return arrival.dev, arrival.ino, arrival.size, arrival.mtime_ns


def is_settled(arrival: SettledFile) -> bool:
    """Tell whether an arrival is still what was seen, and nobody writes to it.

    Raises OSError when it is gone, is no regular file, or may not be read; RefusedError when its folder does
    not let it go.
    """
    with opened(os.fsencode(arrival.inbox), arrival.source, movable=True) as file:
        now = (file.stat.st_dev, file.stat.st_ino, file.stat.st_size, file.stat.st_mtime_ns)
        return identity_of(arrival) == now and leased(file.fd) is not False


def look_again(ledger: Ledger, held: InProgressFile, at: datetime) -> InProgressFile:
    """Take note of what lies in the spool: another file may have got there under the same name."""
    try:
        identity = moves.identity(held.spool)
    except FileNotFoundError:
        return held  # the next step finds it missing
    if identity == held.identity:
        return held
    if identity[2:] != held.identity[2:]:
        ledger.reclaim(held.id, identity[2], identity[3], at)
    return replace(held, identity=identity)


def _claim(arrival: SettledFile) -> Claim:
    return Claim(
        inbox=os.fspath(arrival.inbox),
        source=arrival.source,
        dev=arrival.dev,
        ino=arrival.ino,
        bytes=arrival.size,
        mtime_ns=arrival.mtime_ns,
        seen_at=arrival.seen_at,
    )
