"""Remember which originals were taken, so that each is taken again only when it has changed.

An original is known by its path, size and mtime, or by its device, inode, size and mtime: one that was
renamed is still known, and so is one whose disk has another number since it was mounted again. A companion is
known by its path alone: it is taken again with its photo only.
"""

from __future__ import annotations

import math
import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from db.queries import originals
from db.schema.records import Identity
from pipeline.companions.shares import share_of
from pipeline.files.copy import identity
from pipeline.settings.config import Settings

_MARGIN = timedelta(minutes=5)
"""Rows that a command gave up so long before the memory was loaded are looked at too: its clock may lag."""


class OriginalMemory:
    """The originals of all rows, in 16 bytes for each, and their companions, in 8 bytes for each.

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
                known.extend(_all_keys(row.inbox, row.source, row.identity, row.companions))
            np.frombuffer(known, np.int64).sort()  # in place: a list of them would take five times as much
            self._known, self._since = known, since
        elif self._monotonic() >= self._load_at:
            for row in originals.given_up(self._engine, self._since):
                if row.id not in self._given_up:
                    self._given_up.add(row.id)
                    self.forget(row.inbox, row.source, row.identity, row.companions)
        else:
            return
        self._load_at = self._monotonic() + self._seconds

    def knows(self, inbox: str, source: bytes, identity: Identity) -> bool:
        """Return whether an original, at `source` below an inbox, was taken and has not changed since.

        Or as a companion, whatever it is now.
        """
        return any(map(self._has, (*_keys(inbox, source, identity), _key(inbox, source))))

    def add(self, inbox: str, source: bytes, identity: Identity, companions: Collection[bytes] = ()) -> None:
        """Remember an original that was taken, and its companions."""
        self._remember(_all_keys(inbox, source, identity, companions))

    def add_companion(self, inbox: str, source: bytes) -> None:
        """Remember a companion that was taken after its photo."""
        self._remember([_key(inbox, source)])

    def forget(
        self, inbox: str, source: bytes, identity: Identity, companions: Collection[bytes] = ()
    ) -> None:
        """Let an original and its companions be taken again."""
        keys = _all_keys(inbox, source, identity, companions)
        self._new.difference_update(keys)
        self._forgotten.update(keys)

    def earlier_companions(self, inbox: str, sources: Collection[bytes]) -> dict[bytes, set[bytes]]:
        """Return the names of the companions with which earlier versions of originals were taken.

        They are known, so that no scan offers them again. Raises DatabaseError.
        """
        return originals.companions(self._engine, inbox, sources)

    def _remember(self, keys: list[int]) -> None:
        self._forgotten.difference_update(keys)
        self._new.update(keys)

    def _has(self, key: int) -> bool:
        if key in self._new:
            return True
        at = bisect_left(self._known, key)
        return at < len(self._known) and self._known[at] == key and key not in self._forgotten


def _keys(inbox: str, source: bytes, identity: Identity) -> tuple[int, int]:
    """Return two hashes of 64 bits, which are those of this process: the path's, and the inode's."""
    dev, ino, size, mtime_ns = identity
    return hash((inbox, source, size, mtime_ns)), hash((dev, ino, size, mtime_ns))


def _key(inbox: str, companion: bytes) -> int:
    return hash((inbox, companion))


def _all_keys(inbox: str, source: bytes, identity: Identity, companions: Collection[bytes]) -> list[int]:
    folder = os.path.dirname(source)
    beside = (_key(inbox, os.path.join(folder, name)) for name in companions)
    return [*_keys(inbox, source, identity), *beside]


def taken_before(engine: Engine, settings: Settings) -> Callable[[Path, str], bool]:
    """Return what says of an inbox and a file in it whether it was taken and has not changed since.

    Raises DatabaseError.
    """
    memory = OriginalMemory(engine, math.inf, time.monotonic, lambda: datetime.now(UTC))
    memory.load()

    def is_taken(inbox: Path, path: str) -> bool:
        if settings.action_of(inbox) == "move":
            return False
        try:
            seen = identity(os.fsencode(path))
        except OSError:
            return False
        return memory.knows(os.fspath(inbox), os.fsencode(os.path.relpath(path, inbox)), seen)

    return is_taken


def left_alone(settings: Settings, taken: Callable[[Path, str], bool]) -> Callable[[Path, str], bool]:
    """Return what says of an inbox and a file in it whether it was `taken` or is in another's share."""
    shares = {inbox: share_of(settings, inbox) for inbox in settings.inboxes}

    def is_left(inbox: Path, path: str) -> bool:
        share = shares.get(inbox)
        below = os.fsencode(os.path.relpath(path, inbox))
        return (share is not None and not share.has(below)) or taken(inbox, path)

    return is_left
