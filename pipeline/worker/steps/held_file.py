"""A claimed file on its way from its inbox to its folder, and the queue of files to retry later.

A claimed file is in exactly one of these queues, and each step moves it to the next:

    ClaimStep      outside          claimed in the ledger, still in its inbox
                   incomplete       in the spool; its companions are moved next
                   arrived          in the spool; that rename is not durable yet
    ClassifyStep   waiting          in the spool, to be classified
                   crash suspects   in the spool; a decoder may have crashed on it, so it is classified alone
                   in flight        submitted to the classifier
                   duplicates       same content as a file in flight; waits for that file's answer
    PlaceStep      classified       has a decision, which is not in the ledger yet
                   decided          its decision is in the ledger; to be renamed to its destination
                   moved            in its folder; the ledger does not have it as filed yet
    RetryQueue                      retried later: it is written to, or cannot be moved

A step that meets a system error (OSError, DatabaseUnavailable) leaves each file in its queue, so that the
worker can take the step again later. After the process dies, the ledger is enough to put each file back into
its queue: `pipeline.worker.recovery` does that at start, and for each file that is retried.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from db.schema.records import FileDecision
from pipeline.companions import moving
from pipeline.files import moves
from pipeline.files.links import Original
from pipeline.files.moves import Identity
from pipeline.files.safe_open import reached
from pipeline.originals import companions

log = logging.getLogger(__name__)


class InProgressFile(NamedTuple):
    """A claimed file; `identity` is the version that was last seen.

    `attempts` counts how often it was decoded alone. `resumed`: an earlier run, or try, may have interrupted
    its last rename half way. `companions` are the names, as they arrived, of the files that travel with it.
    `action` is how it is taken, None if it is moved; `link` is the original that its symbolic link names,
    None for any other file; `seen_at` is when its inbox first saw it. A named tuple, for the same reason as
    `FileDecision`.
    """

    id: int
    inbox: bytes
    source: bytes
    spool: bytes
    identity: Identity
    attempts: int = 0
    sha256: str | None = None
    decision: FileDecision | None = None
    resumed: bool = False
    companions: tuple[bytes, ...] = ()
    arrived: bytes = b""
    action: str | None = None
    link: Original | None = None
    seen_at: datetime | None = None

    @property
    def target(self) -> bytes | None:
        """What its symbolic link names; None for any other file."""
        return os.path.join(*self.link) if self.link else None

    @property
    def targets(self) -> list[bytes]:
        """What it and its companions name if they are symbolic links; empty for any other."""
        return moving.targets(self.target, self.companions)

    @property
    def origin(self) -> bytes:
        """The absolute path that it had in its inbox."""
        return os.path.join(self.inbox, self.source)

    @property
    def name(self) -> bytes:
        """The name that it had in its inbox; `source` may have got a plain one since."""
        return self.arrived or os.path.basename(self.source)

    def pairs(self, destination: bytes) -> list[tuple[bytes, bytes]]:
        """Return where it and its companions are in the spool, and where they go beside `destination`."""
        goals = moving.beside(destination, self.name, self.companions)
        spooled = [moving.spooled(self.spool, name) for name in self.companions]
        return [(self.spool, destination), *zip(spooled, goals, strict=True)]

    @property
    def outcome(self) -> str | None:
        """The folder that was decided on."""
        return self.decision.outcome if self.decision else None

    @property
    def destination(self) -> bytes | None:
        """The absolute path that it is moved to, once that is chosen."""
        return self.decision.destination if self.decision else None


def put_back(file: InProgressFile, destination: bytes) -> bool:
    """Move a file and its companions from the spool back into its inbox, or remove what was made of them.

    Returns False, and removes nothing, if an original that stays is not as it was. Raises OSError.
    """
    if file.action:
        return companions.unmake(file.action, file.inbox, file.source, file.spool, file.companions)
    moves.make_folders(os.path.dirname(destination), os.path.realpath(file.inbox))
    moving.move(file.pairs(destination), file.sha256, resumed=file.resumed)
    return True


def left_identity(file: InProgressFile) -> Identity:
    """Return the identity that a file has at its destination, else the one that was last seen."""
    try:
        return moves.identity(file.destination or b"")
    except OSError:  # deleted meanwhile, or a symbolic link whose original is gone
        return file.identity


def put_back_irregular(file: InProgressFile) -> bool:
    """Move back a link or folder that took the file's name; return whether it was one. Raises OSError."""
    if stat.S_ISREG(os.lstat(file.spool).st_mode):
        return False
    with reached(file.inbox, file.source) as path:
        folder, name = os.path.split(path)
        moves.rename(file.spool, moves.destination(folder, name, os.path.lexists))
    log.warning("%a is not a regular file any more; left in its inbox", os.fsdecode(file.origin))
    return True


@dataclass(slots=True)
class RetryQueue:
    """Files that are left alone until a time of `monotonic`, in seconds."""

    monotonic: Callable[[], float]
    _files: dict[int, tuple[float, InProgressFile]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many files wait."""
        return len(self._files)

    def __iter__(self) -> Iterator[InProgressFile]:
        """Iterate over the files that wait."""
        return (file for _, file in self._files.values())

    def add(self, file: InProgressFile, seconds: float) -> None:
        """Leave a file alone for `seconds`."""
        self._files[file.id] = (self.monotonic() + seconds, file)

    def due(self) -> list[InProgressFile]:
        """Return the files whose time is over; each stays in the queue until it is removed."""
        now = self.monotonic()
        return [file for until, file in self._files.values() if until <= now]

    def remove(self, file: InProgressFile) -> None:
        """Remove a file that is in the queue of a step again."""
        del self._files[file.id]


class MissingFiles:
    """Claimed files that are gone from the spool; their rows stay unfinished, so that `doctor` lists them."""

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def __len__(self) -> int:
        """Return how many files are missing."""
        return len(self._ids)

    @property
    def ids(self) -> frozenset[int]:
        """The ids of their rows."""
        return frozenset(self._ids)

    def keep(self, unfinished: Collection[int]) -> None:
        """Forget files whose rows are not `unfinished` any more."""
        self._ids.intersection_update(unfinished)

    def add(self, file: InProgressFile) -> None:
        """Log a file and count it."""
        log.error("%a is gone from the spool; see `pawsort doctor`", os.fsdecode(file.spool))
        self._ids.add(file.id)
