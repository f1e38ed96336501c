"""Log each entry of an inbox that is skipped, once: links, FIFOs, sockets, devices, unreadable entries."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

log = logging.getLogger(__name__)

MOST = 1000

_KINDS = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


class SkippedEntries:
    """Remember at most 1,000 paths of one inbox that were logged."""

    def __init__(self, inbox: Path) -> None:
        self._inbox = inbox
        self._logged: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._logged)

    def log_kind(self, path: bytes, status: os.stat_result) -> None:
        """Log an entry that is not a regular file."""
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a device")
        self.log_once(path, f"skipped: {kind}, not a regular file")

    def log_error(self, path: bytes, error: OSError) -> None:
        """Log an entry that cannot be read."""
        self.log_once(path, f"cannot be read: {error.strerror}")

    def log_once(self, path: bytes, why: str) -> None:
        """Log a path with a reason, unless it was logged before."""
        if path in self._logged or len(self._logged) >= MOST:
            return
        self._logged.add(path)
        log.warning("%s: %s: %s", self._inbox, ascii(os.fsdecode(path)), why)
        if len(self._logged) == MOST:
            log.warning("%s: %d paths were logged; further ones are not", self._inbox, MOST)
