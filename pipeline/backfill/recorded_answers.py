"""A classifier that has the answers of a run already, for `load --file`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from pipeline.backfill.load import Answered
from pipeline.backfill.parts import Result
from pipeline.classifier.file_checks import Admitted, Fingerprint, fingerprint
from pipeline.classifier.messages import ClassificationResult, Item
from pipeline.files.links import content_path
from pipeline.settings.sections import LimitSettings
from pipeline.worker.steps.held_file import InProgressFile

_UNKNOWN = Fingerprint("", 0, 0, written_to=True)


class RecordedAnswers:
    """A classifier that has the answers of a run already.

    A file that is not as it was then has none: it is left in the spool, where the worker classifies it.
    """

    labels: tuple[str, ...] = ()
    engine_name = ""
    starts = 0

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._results: dict[bytes, Result] = {}
        self._of: dict[int, Result] = {}
        self._submitted: list[list[int]] = []

    def expect(self, answered: Iterable[Answered]) -> None:
        """Know the answers of one part, and no others."""
        self._results = {result.path: result for _, result in answered}
        self._of.clear()  # duplicates of earlier rows were never submitted

    def hashed(self, file: InProgressFile) -> Fingerprint:
        """Return the SHA-256 that the run has, without reading a file whose size and mtime are as then."""
        if (result := self._results.get(file.source)) is None:
            return _UNKNOWN
        path = content_path(file.spool, file.link)
        found = os.lstat(path)
        if result.sha256 and (found.st_size, found.st_mtime_ns) == (result.bytes, result.mtime_ns):
            read = Fingerprint(result.sha256, result.bytes, result.mtime_ns, written_to=False)
        else:
            # A copy on another file system may have a rounded mtime.
            read = fingerprint(path, self._limits)
        self._of[file.id] = result
        return read if read.sha256 == result.sha256 else _UNKNOWN

    @property
    def in_flight(self) -> int:
        """How many batches were submitted and not yet answered."""
        return len(self._submitted)

    def start(self) -> None:
        """Do nothing."""

    def ready(self, timeout: float = 0.0) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def submit(self, items: Sequence[Item]) -> None:
        """Take a batch."""
        self._submitted.append([id for id, _ in items])

    def poll(self, timeout: float) -> list[ClassificationResult]:  # noqa: ARG002
        """Return the results of a batch."""
        return [_result(id, self._of.pop(id)) for id in self._submitted.pop(0)] if self._submitted else []

    def stop(self) -> None:
        """Do nothing."""


def _result(id: int, result: Result) -> ClassificationResult:
    admitted = None
    if result.format is not None:
        size = result.width or 0, result.height or 0
        admitted = Admitted(result.format, *size, 1, result.taken_at, result.taken_from)
    failure = (None, None) if result.scores is not None else (result.reason, result.detail)
    both = result.reason == "both"
    return ClassificationResult(id, admitted, result.scores, *failure, both, result.brightness)
