"""The second step of a file: classify it in the spool, and decide its folder."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from db.ledger.ledger import FileDecision, Ledger
from models.images.formats.errors import UnreadableImage
from pipeline.classifier.answering_model import AnsweringModel, dated, failed
from pipeline.classifier.client import IN_FLIGHT, ChildLost, Classifier
from pipeline.classifier.file_checks import fingerprint
from pipeline.classifier.messages import ClassificationResult
from pipeline.decision import DUPLICATES, FAILED
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.known_folder import KnownFolder
from pipeline.files.links import content_path
from pipeline.settings.config import Settings
from pipeline.worker.steps.crash_loop import SAMPLE_ID, CrashLoop
from pipeline.worker.steps.duplicates import Earlier, departed, is_ordinary, look_back
from pipeline.worker.steps.held_file import InProgressFile, MissingFiles, RetryQueue

log = logging.getLogger(__name__)

UNREADABLE_ERRNOS = {errno.EIO, errno.EACCES, errno.EPERM, errno.EUCLEAN, errno.EBADMSG}
"""Errors after which a file counts as unreadable for good; after any other it is retried."""


@dataclass(slots=True)
class _Sorted:
    """A batch sorted by content: decided without the classifier, to classify, duplicates, or to retry."""

    decided: list[InProgressFile] = field(default_factory=list)
    to_classify: dict[str, InProgressFile] = field(default_factory=dict)
    duplicates: list[InProgressFile] = field(default_factory=list)
    changing: list[InProgressFile] = field(default_factory=list)


class ClassifyStep:
    """Decide on files in the spool. `now` gives UTC; `root` is `sorted` as it was at the start."""

    def __init__(
        self,
        ledger: Ledger,
        classifier: Classifier,
        settings: Settings,
        model: AnsweringModel,
        retries: RetryQueue,
        missing: MissingFiles,
        now: Callable[[], datetime],
        root: KnownFolder,
    ) -> None:
        self._ledger = ledger
        self._classifier = classifier
        self._settings = settings
        self._model = model
        self._retries = retries
        self._missing = missing
        self._now = now
        self._sorted = os.fsencode(settings.sorted)
        self._root = root
        self._waiting: deque[InProgressFile] = deque()
        self._crash_suspects: deque[InProgressFile] = deque()
        self._in_flight: dict[int, InProgressFile] = {}
        self._earlier: dict[int, Earlier] = {}
        self._first_copies: set[str] = set()  # SHA-256 of files whose decision is not in the ledger yet
        self._waiting_duplicates: dict[str, list[InProgressFile]] = {}
        self._losses: dict[int, ChildLost] = {}
        self._crash_loop = CrashLoop()

    @property
    def held(self) -> int:
        """How many files are in the spool without a decision."""
        return self.queued + len(self._in_flight) + sum(map(len, self._waiting_duplicates.values()))

    @property
    def queued(self) -> int:
        """How many files wait to be submitted."""
        return len(self._waiting) + len(self._crash_suspects)

    @property
    def has_full_batch(self) -> bool:
        """Whether so many files wait that no more should be claimed for now."""
        return len(self._waiting) >= self._settings.batch.size

    @property
    def crash_loop(self) -> str | None:
        """Say that the classifier crashes with every photo; None if it does not."""
        return self._crash_loop.problem

    def enqueue(self, file: InProgressFile, *, crash_suspect: bool = False) -> None:
        """Take a file in the spool; a decoder may have crashed on a `crash_suspect`."""
        (self._crash_suspects if crash_suspect else self._waiting).append(file)

    def change_model(self, model: AnsweringModel) -> None:
        """Decide by another model from now on; allowed only while no file is in flight.

        Files that wait, as duplicates too, are classified by it.
        """
        assert not self._in_flight, "a photo would be decided by another model than has answered"
        self._model = model

    def clear(self) -> None:
        """Forget the files in the queues, before recovery reads all of them from the ledger."""
        self._waiting.clear()
        self._crash_suspects.clear()

    def submit(self) -> list[InProgressFile]:
        """Submit the next batch if the classifier has room; return files that are decided without it.

        A crash suspect is submitted alone, when no other file is in flight. After many losses without an
        answer nothing is decided until the classifier has answered a sample photo.
        """
        if self._crash_loop.sample_is_due:
            if not self._classifier.in_flight:
                self._classifier.submit([self._crash_loop.sample()])
            return []
        if self._crash_suspects:
            return [] if self._classifier.in_flight else self._submit_crash_suspect()
        if self._waiting and self._classifier.in_flight < IN_FLIGHT:
            return self._submit(self._waiting, self._settings.batch.size)
        return []

    def collect(self, timeout: float) -> list[InProgressFile]:
        """Wait up to `timeout` seconds for results; return their files, decided. Raises ModelError."""
        try:
            results = self._classifier.poll(timeout)
        except ChildLost as loss:
            self._lose(loss)
            return []
        if results:
            self._crash_loop.answer()
        answers = [result for result in results if result.id != SAMPLE_ID]
        return [self._decided(self._in_flight.pop(result.id), result) for result in answers]

    def release_duplicates(self, sha256: str | None) -> None:
        """Let the duplicates of a content go on, now that its decision is in the ledger."""
        self._first_copies.discard(str(sha256))
        self._waiting.extendleft(self._waiting_duplicates.pop(str(sha256), []))

    def release(self) -> None:
        """Record that decoding was stopped, so that files in flight are not charged with an attempt."""
        if self._in_flight:
            attempts = [(file.id, file.attempts) for file in self._in_flight.values()]
            self._ledger.release(attempts, self._now())
            self._in_flight.clear()
            self._earlier.clear()

    # --- before the classifier ----------------------------------------------------------------------

    def _submit_crash_suspect(self) -> list[InProgressFile]:
        suspect = self._crash_suspects[0]
        if suspect.attempts < self._settings.limits.attempts:
            return self._submit(self._crash_suspects, 1)
        self._crash_suspects.popleft()
        loss = self._losses.pop(suspect.id, None)
        reason, detail = (loss.reason, loss.detail) if loss else ("decoder_crashed", "in an earlier run")
        return [self._with_history(suspect, _failed(suspect, reason, detail))]

    def _submit(self, queue: deque[InProgressFile], most: int) -> list[InProgressFile]:
        batch = list(islice(queue, most))
        sorted_ = self._sort(batch)
        if sorted_.to_classify:
            self._begin(sorted_.to_classify)
        for _ in batch:
            queue.popleft()
        for file in sorted_.changing:
            self._retries.add(file, max(1.0, self._settings.watch.settle_seconds))
        for file in sorted_.duplicates:
            self._waiting_duplicates.setdefault(str(file.sha256), []).append(file)
        return sorted_.decided

    def _sort(self, batch: Sequence[InProgressFile]) -> _Sorted:
        """Hash the files of a batch and sort them by their content."""
        sorted_ = _Sorted()
        hashed = [read for file in batch if (read := self._fingerprinted(file, sorted_))]
        earlier = self._look_back(hashed, *sorted_.decided)
        for file in hashed:
            sha256 = str(file.sha256)
            self._earlier[file.id] = before = earlier.get(sha256, Earlier())
            if before.answer:
                like = self._model.like(before.answer, file.id, file.sha256)
                sorted_.decided.append(self._with_history(file, like))
            elif sha256 in sorted_.to_classify or sha256 in self._first_copies:
                sorted_.duplicates.append(file)
            else:
                sorted_.to_classify[sha256] = file
        return sorted_

    def _look_back(self, hashed: Sequence[InProgressFile], *refused: InProgressFile) -> dict[str, Earlier]:
        """Return the earlier files of each content, and end the rows of files that are gone."""
        contents: dict[str, list[int]] = {}
        for file in hashed:
            contents.setdefault(str(file.sha256), []).append(file.identity[1])
        known = self._ledger.same_content(contents)
        seen = [file.identity for file in (*hashed, *refused)]
        same = self._ledger.same_file(seen, {os.path.basename(file.source) for file in refused})
        if known or same:
            # The files of a disk that was unmounted would all seem to be gone.
            self._root.check()
        key, own = self._model.key(self._classifier.engine_name), self._ledger.owner
        earlier = {sha256: look_back(rows, key, self._sorted, own) for sha256, rows in known.items()}
        rows = [*(row for found in earlier.values() for row in found.gone), *same]
        if ending := departed(rows, seen, self._sorted, self._ledger.oldest_beside):
            self._ledger.end(ending, self._now())
        return earlier

    def _fingerprinted(self, file: InProgressFile, sorted_: _Sorted) -> InProgressFile | None:
        """Hash a file; return None if it is decided by that, or put into another list of `sorted_`."""
        try:
            print_ = fingerprint(content_path(file.spool, file.link), self._settings.limits)
        except FileNotFoundError:
            if file.link and os.path.lexists(file.spool):
                gone = _failed(file, "unreadable", "its original is gone")
                sorted_.decided.append(file._replace(decision=gone))
            else:
                self._missing.add(file)
            return None
        except UnreadableImage as error:
            sorted_.decided.append(file._replace(decision=_failed(file, error.reason, error.detail)))
            return None
        except OSError as error:
            if error.errno in SYSTEM_ERRNOS:
                raise
            if error.errno in UNREADABLE_ERRNOS or file.link:
                failed = _failed(file, "unreadable", str(error.strerror))
                sorted_.decided.append(file._replace(decision=failed))
            else:
                sorted_.changing.append(file)
            return None
        if (print_.bytes, print_.mtime_ns) != file.identity[2:] or print_.written_to:
            sorted_.changing.append(file)
            return None
        return file._replace(sha256=print_.sha256)

    def _begin(self, files: Mapping[str, InProgressFile]) -> None:
        """Commit that these files are about to be decoded, and only then submit them."""
        alone = len(files) == 1 and not self._classifier.in_flight
        self._ledger.begin_decoding([(file.id, sha) for sha, file in files.items()], alone, self._now())
        self._first_copies |= files.keys()
        self._in_flight |= {file.id: file for file in files.values()}
        self._classifier.submit([(file.id, file.target or file.spool) for file in files.values()])

    # --- after the classifier -----------------------------------------------------------------------

    def _lose(self, loss: ChildLost) -> None:
        log.warning("the classifier was lost (%s); trying its files one by one", loss)
        self._crash_loop.lose(loss.ids, loss.detail)
        alone = len(loss.ids) == 1
        for id in loss.ids:
            if id == SAMPLE_ID:
                continue
            file = self._in_flight.pop(id)
            self._losses[id] = loss
            self._first_copies.discard(str(file.sha256))
            self._crash_suspects.append(file._replace(attempts=file.attempts + alone))
        self._classifier.start()

    def _decided(self, file: InProgressFile, result: ClassificationResult) -> InProgressFile:
        self._losses.pop(file.id, None)
        engine = self._classifier.engine_name
        return self._with_history(file, self._model.decision(file.id, file.sha256, result, engine))

    def _with_history(self, file: InProgressFile, decision: FileDecision) -> InProgressFile:
        """Let a correction of the same content override the decision; link a duplicate to its original."""
        decision = dated(decision, file.source)
        earlier = self._earlier.pop(file.id, None)
        if earlier is None:
            return file._replace(decision=decision)
        if folder := self._model.folder_of(earlier.label):
            decision = decision._replace(outcome=folder, reason=None, detail=None)
        original = earlier.original
        hold = self._settings.duplicates == "hold" and original and is_ordinary(original) and earlier.is_here
        if hold and decision.outcome != FAILED:
            decision = decision._replace(outcome=DUPLICATES)
        return file._replace(decision=decision._replace(duplicate_of=original.id) if original else decision)


def _failed(file: InProgressFile, reason: str | None, detail: str | None) -> FileDecision:
    return failed(file.id, file.sha256, reason, detail)
