"""A file between its inbox and its folder: what the worker holds, and what it has found out about it.

A held file is in exactly one of these places, and each step carries it to the next:

    claiming    outside     claimed in the ledger, still in its inbox
    answering   waiting     in the spool, to be classified
                suspects    in the spool; a decoder may have gone down with it, so it is tried alone
                in flight   with the classifier
                followers   same content as a file in flight, whose answer will do for it too
    placing     judged      answered; the answer is not in the ledger yet
                decided     the answer is in the ledger; to be renamed to its destination
    Resting                 left alone for a while: somebody writes to it, or it cannot be moved

A step that the world refuses (OSError, DatabaseUnavailable) leaves each file in its place, so that the
worker may take the step again later. What the ledger says when the process dies is enough to put each
file back into its place: `pipeline.worker.recovery` does that at start, and for a file that has rested.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.classifier.file_checks import Admitted
from pipeline.files.moves import Identity


@dataclass(frozen=True, slots=True)
class InProgressFile:
    """A file that the worker has claimed; `identity` is what it was when last looked at.

    `attempts` counts how often a decoder was given it alone. `resumed`: its last rename may have been cut
    off half way, in an earlier life.
    """

    id: int
    inbox: bytes
    source: bytes
    spool: bytes
    identity: Identity
    attempts: int = 0
    sha256: str | None = None
    outcome: str | None = None
    destination: bytes | None = None
    resumed: bool = False

    @property
    def origin(self) -> bytes:
        """Where the file lay in its inbox, absolute."""
        return os.path.join(self.inbox, self.source)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to become of a held file, and why."""

    held: InProgressFile
    outcome: str
    prediction: str | None = None
    confidence: float | None = None
    reason: str | None = None
    detail: str | None = None
    scores: Mapping[str, float] | None = None
    admitted: Admitted | None = None
    duplicate_of: int | None = None
    model: str | None = None
    model_sha256: str | None = None
    answer_key: str | None = None


@dataclass(slots=True)
class RetryQueue:
    """Files that are left alone until a time of `monotonic`, in seconds."""

    monotonic: Callable[[], float]
    files: dict[int, tuple[float, InProgressFile]] = field(default_factory=dict)

    def add(self, held: InProgressFile, seconds: float) -> None:
        """Leave a file alone for `seconds`."""
        self.files[held.id] = (self.monotonic() + seconds, held)

    def rested(self) -> list[InProgressFile]:
        """Return the files whose time is over; each rests until it is woken."""
        now = self.monotonic()
        return [held for until, held in self.files.values() if until <= now]

    def wake(self, held: InProgressFile) -> None:
        """Take out a file that has its place again."""
        del self.files[held.id]
