"""Remember which originals were taken, so that each is taken again only when it has changed.

An original is known by its path, size and mtime, or by its device, inode, size and mtime: one that was
renamed is still known, and so is one whose disk has another number since it was mounted again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Engine

from db.queries import originals
from db.schema.records import Identity

_MARGIN = timedelta(minutes=5)
"""Rows that a command gave up so long before the memory was loaded are looked at too: its clock may lag."""


class OriginalMemory:
    """The originals of all rows, in 16 bytes for each.

    `load` reads the ledger at first, and later what commands gave up since, every `seconds` at most.
    `monotonic` is in seconds; `now` gives UTC. Not for several threads.
    """

    def __init__(
        self,
        engine: Engine,
        seconds: float,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._seconds = seconds
        self._monotonic = monotonic
        self._now = now
        self._known = array("q")  # sorted hashes of the rows that were there at the start
        self._new: set[int] = set()
        self._forgotten: set[int] = set()
        self._since: datetime | None = None
        self._given_up: set[int] = set()
        self._load_at = 0.0

    def load(self) -> None:
        """Read what is not known yet, if it is time. Raises DatabaseError."""
        if self._since is None:
            since = self._now() - _MARGIN
            self._given_up = {row.id for row in originals.given_up(self._engine, since)}
            known = array("q")
            for row in originals.taken(self._engine):
                known.extend(_keys(row.inbox, row.source, row.identity))
            np.frombuffer(known, np.int64).sort()  # in place: a list of them would take five times as much
            self._known, self._since = known, since
        elif self._monotonic() >= self._load_at:
            for row in originals.given_up(self._engine, self._since):
                if row.id not in self._given_up:
                    self._given_up.add(row.id)
                    self.forget(row.inbox, row.source, row.identity)
        else:
            return
        self._load_at = self._monotonic() + self._seconds

    def knows(self, inbox: str, source: bytes, identity: Identity) -> bool:
        """Return whether an original, at `source` below an inbox, was taken and has not changed since."""
        return any(map(self._has, _keys(inbox, source, identity)))

    def add(self, inbox: str, source: bytes, identity: Identity) -> None:
        """Remember an original that was taken."""
        keys = _keys(inbox, source, identity)
        self._forgotten.difference_update(keys)
        self._new.update(keys)

    def forget(self, inbox: str, source: bytes, identity: Identity) -> None:
        """Let an original be taken again."""
        keys = _keys(inbox, source, identity)
        self._new.difference_update(keys)
        self._forgotten.update(keys)

    def _has(self, key: int) -> bool:
        if key in self._new:
            return True
        at = bisect_left(self._known, key)
        return at < len(self._known) and self._known[at] == key and key not in self._forgotten


def _keys(inbox: str, source: bytes, identity: Identity) -> tuple[int, int]:
    """Return two hashes of 64 bits, which are those of this process: the path's, and the inode's."""
    dev, ino, size, mtime_ns = identity
    return hash((inbox, source, size, mtime_ns)), hash((dev, ino, size, mtime_ns))
