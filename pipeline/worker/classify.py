"""The second step of a held file: from the spool through the classifier to an answer."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from db.ledger.ledger import Entry, Ledger
from models.labels import NEITHER
from pipeline.classifier.client import IN_FLIGHT, ChildLost, Classifier, Finding
from pipeline.classifier.file_checks import Admitted, Refused, fingerprint
from pipeline.config import Settings
from pipeline.decision import DUPLICATES, FAILED, UNCERTAIN, Policy, decide
from pipeline.files.folders import SYSTEM_ERRNOS, FolderError
from pipeline.worker.duplicates import Earlier, is_ordinary, look_back
from pipeline.worker.held_file import Answer, InProgressFile, RetryQueue
from pipeline.worker.place import folder_id

log = logging.getLogger(__name__)

UNREADABLE_ERRNOS = {errno.EIO, errno.EACCES, errno.EPERM, errno.EUCLEAN, errno.EBADMSG}
"""What the system says when this file will never be read; anything else may pass."""


@dataclass(slots=True)
class _Sorted:
    """A batch after a look at each file's content."""

    answers: list[Answer] = field(default_factory=list)
    load: dict[str, InProgressFile] = field(default_factory=dict)
    following: list[InProgressFile] = field(default_factory=list)
    unsettled: list[InProgressFile] = field(default_factory=list)


class ClassifyStep:
    """Get an answer for each file in the spool.

    `now` gives UTC; `root` is what `sorted` was at the start, by device and inode; `key` gives the answer key
    for the name of an engine.
    """

    def __init__(
        self,
        ledger: Ledger,
        classifier: Classifier,
        settings: Settings,
        policy: Policy,
        resting: RetryQueue,
        now: Callable[[], datetime],
        root: tuple[int, int],
        key: Callable[[str], str],
    ) -> None:
        self.waiting: deque[InProgressFile] = deque()
        self.suspects: deque[InProgressFile] = deque()
        self.in_flight: dict[int, InProgressFile] = {}
        self.missing: set[int] = set()
        self._ledger = ledger
        self._classifier = classifier
        self._settings = settings
        self._policy = policy
        self._resting = resting
        self._now = now
        self._sorted = os.fsencode(settings.sorted)
        self._root = root
        self._key_of = key
        self._holds = settings.duplicates == "hold"
        self._earlier: dict[int, Earlier] = {}
        self._leaders: set[str] = set()
        self._followers: dict[str, list[InProgressFile]] = {}
        self._losses: dict[int, ChildLost] = {}

    @property
    def _key(self) -> str:
        return self._key_of(self._classifier.engine_name)

    @property
    def held(self) -> int:
        """How many files are on their way to an answer."""
        following = sum(map(len, self._followers.values()))
        return len(self.waiting) + len(self.suspects) + len(self.in_flight) + following

    def submit(self) -> list[Answer]:
        """Hand the next batch to the classifier if it has room; return what is answered without it.

        A suspect goes alone, when nothing else is in flight.
        """
        if self.suspects:
            return [] if self._classifier.in_flight else self._submit_suspect()
        if self.waiting and self._classifier.in_flight < IN_FLIGHT:
            return self._submit(self.waiting, self._settings.batch.size)
        return []

    def collect(self, timeout: float) -> list[Answer]:
        """Wait up to `timeout` seconds for answers. Raises ModelError."""
        try:
            findings = self._classifier.poll(timeout)
        except ChildLost as loss:
            self._lose(loss)
            return []
        answers = [self._judge(self.in_flight.pop(finding.id), finding) for finding in findings]
        return [self._with_history(answer) for answer in answers]

    def settle(self, sha256: str | None) -> None:
        """Let the files go on whose content has now been answered for."""
        self._leaders.discard(str(sha256))
        self.waiting.extendleft(self._followers.pop(str(sha256), []))

    def release(self) -> None:
        """Give back what is in flight, so that an interruption by us does not count against a file."""
        if self.in_flight:
            attempts = [(held.id, held.attempts) for held in self.in_flight.values()]
            self._ledger.release(attempts, self._now())
            self.in_flight.clear()
            self._earlier.clear()

    def miss(self, held: InProgressFile) -> None:
        """Say that somebody took a file out of the spool; its row stays unfinished for `doctor` to show."""
        log.error("%a is gone from the spool; see `pawsort doctor`", os.fsdecode(held.spool))
        self.missing.add(held.id)

    # --- towards the classifier ---------------------------------------------------------------------

    def _submit_suspect(self) -> list[Answer]:
        suspect = self.suspects[0]
        if suspect.attempts < self._settings.limits.attempts:
            return self._submit(self.suspects, 1)
        self.suspects.popleft()
        loss = self._losses.pop(suspect.id, None)
        reason, detail = (loss.reason, loss.detail) if loss else ("decoder_crashed", "in an earlier run")
        return [self._with_history(Answer(suspect, FAILED, reason=reason, detail=detail))]

    def _submit(self, queue: deque[InProgressFile], most: int) -> list[Answer]:
        batch = list(islice(queue, most))
        sorted_ = self._sort(batch)
        if sorted_.load:
            self._begin(sorted_.load)
        for _ in batch:
            queue.popleft()
        for held in sorted_.unsettled:
            self._resting.add(held, max(1.0, self._settings.watch.settle_seconds))
        for held in sorted_.following:
            self._followers.setdefault(str(held.sha256), []).append(held)
        return sorted_.answers

    def _sort(self, batch: Sequence[InProgressFile]) -> _Sorted:
        """Tell what must be classified from what can be answered, or has to wait, by its content."""
        sorted_ = _Sorted()
        read = [self._fingerprinted(held, sorted_) for held in batch]
        hashed = [held for held in read if held]
        earlier = self._look_back(hashed)
        for held in hashed:
            sha256 = str(held.sha256)
            self._earlier[held.id] = before = earlier.get(sha256, Earlier())
            if before.answer:
                sorted_.answers.append(self._with_history(self._like(before.answer, held)))
            elif sha256 in sorted_.load or sha256 in self._leaders:
                sorted_.following.append(held)
            else:
                sorted_.load[sha256] = held
        return sorted_

    def _look_back(self, hashed: Sequence[InProgressFile]) -> dict[str, Earlier]:
        """Return what is known of each content, and end the rows of files that are not in their places."""
        contents: dict[str, list[int]] = {}
        for held in hashed:
            contents.setdefault(str(held.sha256), []).append(held.identity[1])
        known = self._ledger.same_content(contents)
        if known and folder_id(self._sorted) != self._root:
            # Under a disk that was unmounted nothing is to be seen of the files that lie on it.
            raise FolderError(errno.ENOTDIR, "is another folder than at the start", self._sorted)
        earlier = {sha256: look_back(rows, self._key, self._sorted) for sha256, rows in known.items()}
        if gone := [entry for found in earlier.values() for entry in found.gone]:
            self._ledger.end(gone, self._now())
        return earlier

    def _fingerprinted(self, held: InProgressFile, sorted_: _Sorted) -> InProgressFile | None:
        """Hash a file; None if that is enough for an answer, or it is set aside."""
        try:
            print_ = fingerprint(held.spool, self._settings.limits)
        except FileNotFoundError:
            self.miss(held)
            return None
        except OSError as error:
            if error.errno in SYSTEM_ERRNOS:
                raise
            if error.errno not in UNREADABLE_ERRNOS:
                sorted_.unsettled.append(held)
                return None
            print_ = Refused("unreadable", str(error.strerror))
        if isinstance(print_, Refused):
            sorted_.answers.append(Answer(held, FAILED, reason=print_.reason, detail=print_.detail))
            return None
        if (print_.bytes, print_.mtime_ns) != held.identity[2:] or print_.written_to:
            sorted_.unsettled.append(held)
            return None
        return replace(held, sha256=print_.sha256)

    def _begin(self, load: Mapping[str, InProgressFile]) -> None:
        """Commit that a decoder is about to see these files, and only then let it see them."""
        alone = len(load) == 1 and not self._classifier.in_flight
        self._ledger.begin_decoding([(held.id, sha) for sha, held in load.items()], alone, self._now())
        self._leaders |= load.keys()
        self.in_flight |= {held.id: held for held in load.values()}
        self._classifier.submit([(held.id, held.spool) for held in load.values()])

    # --- back from the classifier -------------------------------------------------------------------

    def _lose(self, loss: ChildLost) -> None:
        log.warning("the classifier was lost (%s); trying its files one by one", loss)
        alone = len(loss.ids) == 1
        for id in loss.ids:
            held = self.in_flight.pop(id)
            self._losses[id] = loss
            self._leaders.discard(str(held.sha256))
            self.suspects.append(replace(held, attempts=held.attempts + alone))
        self._classifier.start()

    def _judge(self, held: InProgressFile, finding: Finding) -> Answer:
        self._losses.pop(held.id, None)
        if finding.scores is None:
            return Answer(
                held,
                FAILED,
                reason=finding.reason,
                detail=finding.detail,
                admitted=finding.admitted,
                answer_key=self._key,
            )
        answer = self._decided(held, finding.scores)
        return replace(answer, admitted=finding.admitted, answer_key=self._key)

    def _like(self, earlier: Entry, held: InProgressFile) -> Answer:
        """Answer for a file as the same conditions have answered for its content before."""
        if earlier.scores is None:
            answer = Answer(held, FAILED, reason=earlier.reason, detail=earlier.detail)
        else:
            answer = self._decided(held, earlier.scores)
        return replace(
            answer,
            admitted=_header(earlier),
            model=earlier.model,
            model_sha256=earlier.model_sha256,
            answer_key=earlier.answer_key,
        )

    def _decided(self, held: InProgressFile, scores: Mapping[str, float]) -> Answer:
        decision = decide(scores, self._policy)
        return Answer(
            held,
            decision.outcome,
            decision.prediction,
            decision.confidence,
            decision.reason,
            scores=scores,
        )

    def _with_history(self, answer: Answer) -> Answer:
        """Let what a person said of the content stand above the answer, and link a copy to its original."""
        earlier = self._earlier.pop(answer.held.id, None)
        if earlier is None:
            return answer
        if folder := self._folder_of(earlier.label):
            answer = replace(answer, outcome=folder, reason=None, detail=None)
        original = earlier.original
        if original and is_ordinary(original) and answer.outcome != FAILED and self._holds:
            answer = replace(answer, outcome=DUPLICATES)
        return replace(answer, duplicate_of=original.id if original else None)

    def _folder_of(self, label: str | None) -> str | None:
        return UNCERTAIN if label == NEITHER else self._policy.folders.get(label or "")


def _header(entry: Entry) -> Admitted | None:
    if entry.format is None or entry.width is None or entry.height is None:
        return None
    return Admitted(entry.format, entry.width, entry.height, 1, entry.taken_at)
