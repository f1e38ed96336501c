"""The first step of a held file: out of its inbox, into the spool."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from db.ledger import Claim, Ledger
from pipeline import filing
from pipeline.access import leased, open_folder, opened
from pipeline.config import Settings
from pipeline.held import Held, Resting
from pipeline.inbox import Arrival

log = logging.getLogger(__name__)

WORLD = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV,
}  # fmt: skip
"""What the system says when no file could be had; anything else is about this one, and harms no other."""


class Claiming:
    """Claim settled files and rename them into the spool. `now` gives UTC."""

    def __init__(
        self, ledger: Ledger, settings: Settings, resting: Resting, now: Callable[[], datetime]
    ) -> None:
        self.outside: deque[Held] = deque()
        self.stuck: set[int] = set()
        self._ledger = ledger
        self._settings = settings
        self._spool = os.fsencode(settings.spool)
        self._resting = resting
        self._now = now
        self._vanished: list[int] = []
        self._inside: list[Held] = []
        self._unsynced: dict[bytes, None] = {}

    @property
    def held(self) -> int:
        """How many files are claimed and not yet durably in the spool."""
        return len(self.outside) + len(self._inside) + len(self._vanished)

    def claim(self, arrivals: Sequence[Arrival]) -> None:
        """Commit that these files, each named once, are ours, before any of them is moved."""
        known = {(held.inbox, held.source) for held in self.outside}
        known |= {(held.inbox, held.source) for _, held in self._resting.files.values()}
        new = [a for a in arrivals if (os.fsencode(a.inbox), a.source) not in known]
        if not new:
            return
        tickets = self._ledger.claim([_claim(arrival) for arrival in new], self._now())
        for ticket, arrival in zip(tickets, new, strict=True):
            spool = os.path.join(self._spool, os.fsencode(ticket.spool_name))
            inbox = os.fsencode(arrival.inbox)
            self.outside.append(Held(ticket.id, inbox, arrival.source, spool, identity_of(arrival)))

    def bring_in(self) -> list[Held]:
        """Rename what is claimed into the spool, durably, and return what arrived there."""
        while self.outside:
            self._bring_in(self.outside[0])
            self.outside.popleft()
        if self._vanished:
            self._ledger.vanish(self._vanished, self._now())
            self._vanished.clear()
        filing.sync_folders(self._unsynced)
        self._unsynced.clear()
        arrived = [look_again(self._ledger, held, self._now()) for held in self._inside]
        self._inside.clear()
        return arrived

    def _bring_in(self, held: Held) -> None:
        try:
            self._rename(held)
        except (FileNotFoundError, NotADirectoryError):
            self._vanished.append(held.id)
            self.stuck.discard(held.id)
        except filing.SourceChangedError:
            self._resting.add(held, self._settings.watch.settle_seconds)
        except filing.FolderError:
            raise
        except OSError as error:
            if error.errno in WORLD:
                raise
            if held.id not in self.stuck:
                self.stuck.add(held.id)
                log.warning("cannot take %a: %s; trying again later", os.fsdecode(held.origin), error)
            self._resting.add(held, self._settings.watch.rescan_seconds)
        else:
            self.stuck.discard(held.id)
            self._unsynced |= dict.fromkeys((os.path.dirname(held.origin), self._spool))
            self._inside.append(held)

    def _rename(self, held: Held) -> None:
        folder = open_folder(held.inbox, os.path.dirname(held.source))
        try:
            # By descriptor, so that a folder swapped for a link meanwhile leads nowhere.
            filing.move(b"/proc/self/fd/%d/%s" % (folder, os.path.basename(held.source)), held.spool)
            if give_back_odd(held):
                raise FileNotFoundError(errno.ENOENT, "is no regular file any more", held.origin)
        finally:
            os.close(folder)


def give_back_odd(held: Held) -> bool:
    """Put back what is no regular file: a link or a folder that took the file's name at the last moment.

    Returns whether it was one; nothing was claimed then. Raises OSError.
    """
    if stat.S_ISREG(os.lstat(held.spool).st_mode):
        return False
    home = os.path.dirname(held.origin)
    filing.rename(held.spool, filing.destination(home, os.path.basename(held.origin), os.path.lexists))
    log.warning("%a is no regular file any more; left where it was", os.fsdecode(held.origin))
    return True


def path_of(arrival: Arrival) -> bytes:
    """Return the absolute path of an arrival."""
    return os.path.join(os.fsencode(arrival.inbox), arrival.source)


def identity_of(arrival: Arrival) -> filing.Identity:
    """Return what tells this version of a file from every other."""
    return arrival.dev, arrival.ino, arrival.size, arrival.mtime_ns


def is_settled(arrival: Arrival) -> bool:
    """Tell whether an arrival is still what was seen, and nobody writes to it.

    Raises OSError when it is gone, is no regular file, or may not be read.
    """
    with opened(os.fsencode(arrival.inbox), arrival.source) as file:
        now = (file.stat.st_dev, file.stat.st_ino, file.stat.st_size, file.stat.st_mtime_ns)
        return identity_of(arrival) == now and leased(file.fd) is not False


def look_again(ledger: Ledger, held: Held, at: datetime) -> Held:
    """Take note of what lies in the spool: another file may have got there under the same name."""
    try:
        identity = filing.identity(held.spool)
    except FileNotFoundError:
        return held  # the next step finds it missing
    if identity == held.identity:
        return held
    if identity[2:] != held.identity[2:]:
        ledger.reclaim(held.id, identity[2], identity[3], at)
    return replace(held, identity=identity)


def _claim(arrival: Arrival) -> Claim:
    return Claim(
        inbox=os.fspath(arrival.inbox),
        source=arrival.source,
        dev=arrival.dev,
        ino=arrival.ino,
        bytes=arrival.size,
        mtime_ns=arrival.mtime_ns,
        seen_at=arrival.seen_at,
    )
