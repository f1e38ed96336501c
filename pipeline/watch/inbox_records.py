"""Records of watched inboxes; `db.schema.records.SettledFile` is the file that `poll` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class InboxFile(Protocol):
    """A file that came from an inbox, in any stage of its processing."""

    @property
    def source(self) -> bytes:
        """Return its path relative to the inbox."""

    @property
    def companions(self) -> tuple[bytes, ...]:
        """Return the names of the files beside it that are taken with it."""


@dataclass(frozen=True, slots=True)
class InboxStatus:
    """Status of an inbox: `state` is watching, polling or missing; `note` is the reason if not watching."""

    path: Path
    state: str
    degraded: bool
    note: str
    settling: int  # files in their quiet time
    resting: int  # files returned by `poll` or waiting for a retry
    scanning: bool
    scans: int  # completed scans of the whole inbox
    lost_events: int  # times that events were lost
    odd: int  # links, FIFOs, sockets, devices and unreadable entries that were logged
    unlisted: int = 0  # folders and entries that the last scan could not read
    refused: int = 0  # files that may not be read or moved
    refusals: tuple[str, ...] = ()  # their folders, each with the reason
