"""Records that the ledger takes and returns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from db.schema.file_names import RawName, unescape
from db.schema.tables import MoveKind, State, Via
from db.schema.worker_tables import FIRST

Identity: TypeAlias = tuple[int, int, int, int]
"""A file's device, inode, bytes and mtime_ns, as `os.stat` gives them."""

Original: TypeAlias = tuple[RawName, RawName]
"""An inbox, absolute, and the path of a file below it."""

_GRAINS = 100, 10_000_000, 1_000_000_000, 2_000_000_000
"""Nanoseconds to which NTFS and SMB, exFAT, ext3 and FAT round the times of files."""


@dataclass(frozen=True, slots=True)
class SettledFile:
    """A file in an inbox that has stopped changing: its place, the version seen, and when it was first seen.

    `inbox` is absolute, `source` relative to it; `seen_at` is UTC. `action` is how it is taken, None if it is
    moved; `companions` are the names of the files beside it that are taken with it. `keyword` is "" if its
    answer is to be written into its sidecar.
    """

    inbox: str
    source: RawName
    dev: int
    ino: int
    bytes: int
    mtime_ns: int
    seen_at: datetime
    action: str | None = None
    companions: tuple[RawName, ...] = ()
    keyword: str | None = None

    @property
    def path(self) -> RawName:
        """Its absolute path."""
        return os.path.join(os.fsencode(self.inbox), self.source)

    @property
    def identity(self) -> Identity:
        """The version of the file that was seen."""
        return self.dev, self.ino, self.bytes, self.mtime_ns


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """The row of a claimed file, and its name in the spool."""

    id: int
    spool_name: str


class FileDecision(NamedTuple):
    """The decision on one file.

    `outcome` is the folder; `scores` are probabilities, 0 to 1, by label; `destination` is the absolute path
    that the file is moved to, chosen last: the ledger takes no decision without one. `taken_at` is ISO 8601
    by the camera's clock, `taken_from` where it was read; `duplicate_of` is the id of an earlier file of the
    same content; `answer_key` stands for everything that the answer depends on besides the content;
    `brightness` is the picture's mean, 0 to 1.
    A named tuple, because it is changed a few times for each file, and `dataclasses.replace` takes long.
    """

    id: int
    outcome: str
    prediction: str | None = None
    confidence: float | None = None
    reason: str | None = None
    detail: str | None = None
    scores: Mapping[str, float] | None = None
    destination: RawName | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    taken_at: str | None = None
    sha256: str | None = None
    model: str | None = None
    model_sha256: str | None = None
    duplicate_of: int | None = None
    answer_key: str | None = None
    brightness: float | None = None
    taken_from: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `files`; `db.schema.tables.FileRow` explains the columns in each state."""

    id: int
    spool_name: str
    state: State
    inbox: str
    source: RawName
    name: RawName
    path: RawName | None
    destination: RawName | None
    verdict: str | None
    outcome: str | None
    prediction: str | None
    confidence: float | None
    reason: str | None
    detail: str | None
    scores: dict[str, float] | None
    dev: int
    ino: int
    bytes: int
    mtime_ns: int
    sha256: str | None
    format: str | None
    width: int | None
    height: int | None
    taken_at: str | None
    model: str | None
    model_sha256: str | None
    duplicate_of: int | None
    corrected_to: str | None
    attempts: int
    seen_at: datetime
    claimed_at: datetime
    decided_at: datetime | None
    filed_at: datetime | None
    changed_at: datetime
    answer_key: str | None
    brightness: float | None
    action: str | None
    companions: list[str] | None
    original: str | None
    taken_from: str | None
    keyword: str | None = None
    worker_id: int = FIRST

    @property
    def link(self) -> Original | None:
        """The original that its symbolic link names; None where the file itself is at the path."""
        return (os.fsencode(self.inbox), self.source) if self.action == "symlink" else None

    @property
    def target(self) -> RawName | None:
        """What its symbolic link names; None where the file itself is at the path."""
        return os.path.join(*self.link) if self.link else None

    @property
    def companion_names(self) -> tuple[RawName, ...]:
        """The names of its companions, as they arrived."""
        return tuple(map(unescape, self.companions or ()))

    def is_version(self, seen: Identity) -> bool:
        """Return whether its file is `seen`, which may have been moved to another disk.

        Size and mtime tell; as many empty files have one mtime, these must have the same inode too.
        """
        dev, ino, bytes, mtime_ns = seen
        return self.looks_like(bytes, mtime_ns) and (bytes > 0 or (self.dev, self.ino) == (dev, ino))

    def looks_like(self, bytes: int, mtime_ns: int) -> bool:
        """Return whether a file of this size and mtime can be its file, also on a disk that rounds times."""
        return self.bytes == bytes and same_time(self.mtime_ns, mtime_ns)


def in_words(identity: Identity) -> str:
    """Return the identity of an original as the ledger has it: its four numbers with blanks between them."""
    return " ".join(map(str, identity))


def from_words(text: str) -> Identity:
    """Return the identity of an original from what the ledger has."""
    dev, ino, bytes, mtime_ns = map(int, text.split())
    return dev, ino, bytes, mtime_ns


def same_time(a: int, b: int) -> bool:
    """Return whether two times in nanoseconds are equal, or one is the other as a file system rounds it."""
    apart = abs(a - b)
    return not apart or any(apart < grain and 0 in (a % grain, b % grain) for grain in _GRAINS)


@dataclass(frozen=True, slots=True)
class Move:
    """A row of `moves`, such as a correction or an undo, under way until `done_at` is set."""

    id: int
    file_id: int
    kind: MoveKind
    source: RawName
    destination: RawName
    old_outcome: str | None
    new_outcome: str | None
    old_corrected_to: str | None
    new_corrected_to: str | None
    undoes: int | None
    by: str
    began_at: datetime
    done_at: datetime | None
    via: Via | None = None
    old_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """An action that can be undone: a filing, or a correction and its `move`."""

    kind: Literal["file", "correct"]
    entry: Entry
    move: Move | None
    at: datetime
