"""What lies in an inbox and is no file for us: said once for each, and then passed by."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

log = logging.getLogger(__name__)

MOST = 1000

_KINDS = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


class SkippedEntries:
    """Remember at most 1,000 paths of one inbox that were reported."""

    def __init__(self, inbox: Path) -> None:
        self._inbox = inbox
        self._named: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._named)

    def kind(self, path: bytes, status: os.stat_result) -> None:
        """Report what is not a regular file."""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        self.say(path, f"left alone: {kind}, not a regular file")

    def trouble(self, path: bytes, error: OSError) -> None:
        """Report what cannot be looked at."""
        self.say(path, f"cannot be looked at: {error.strerror}")

    def say(self, path: bytes, what: str) -> None:
        """Report a path with a reason, unless it was reported before."""
        if path in self._named or len(self._named) >= MOST:
            return
        self._named.add(path)
        log.warning("%s: %s: %s", self._inbox, ascii(os.fsdecode(path)), what)
        if len(self._named) == MOST:
            log.warning("%s: %d paths were reported; further ones are not", self._inbox, MOST)
