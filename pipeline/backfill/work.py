"""Do one part: classify its photos as `pawsort classify` does, and write their results."""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from models.bundle.bundle import Bundle
from models.images.decode import UnreadableImage
from pipeline.backfill import parts
from pipeline.backfill.parts import DamagedPart, Mark, Part, Result
from pipeline.backfill.source import Source, is_away
from pipeline.backfill.storage.ahead import ahead
from pipeline.backfill.storage.run_path import RunPath
from pipeline.classifier.answering_model import AnsweringModel, dated
from pipeline.classifier.client import Classifier, classify_files
from pipeline.classifier.file_checks import fingerprint
from pipeline.classifier.messages import ClassificationResult
from pipeline.errors import PawsortError
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.permissions import limited
from pipeline.files.safe_open import lstat_any
from pipeline.settings.config import Settings
from pipeline.settings.sections import LimitSettings
from pipeline.version import version

log = logging.getLogger(__name__)

WAITS = (2.0, 15.0, 60.0)
"""Seconds to wait before each further attempt at a part that fails."""

AWAY_ERRNOS = SYSTEM_ERRNOS | {
    errno.ESTALE, errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    errno.ENETDOWN, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EREMOTEIO,
}  # fmt: skip
"""Errors of one file that say that the source is away, so that no answer may be recorded."""

_version = cache(version)  # a process goes on with the code that it has imported

_ROUNDS = 3
"""How often a file is classified whose version changes, until its content and its answer are of one."""

_CHANGING = ClassificationResult(0, None, None, "unreadable", "it changes while it is read")


@dataclass(frozen=True, slots=True)
class Work:
    """What each machine needs to do parts of a run; it is sent to them.

    `settings` have the threshold that was planned with, `answer_key` is that of the plan; `threads` is how
    many CPUs a part may use.
    """

    run: RunPath
    settings: Settings
    bundle: Bundle
    source: str
    digest: str
    version: str
    answer_key: str
    threads: int | None = None


class Done(NamedTuple):
    """What became of one part. `problem` says why it has no results; if `is_final`, no other part will.

    `seconds` of the clock, and `cpu_seconds` of the process that did it, without its classifier.
    """

    part: int
    photos: int
    problem: str | None = None
    is_final: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Seen(NamedTuple):
    """The version of a file that was read, as its status says; zeros for one that cannot be read."""

    sha256: str | None = None
    dev: int = 0
    ino: int = 0
    bytes: int = 0
    mtime_ns: int = 0

    @property
    def version(self) -> tuple[int, int]:
        """What a list has of it."""
        return self.bytes, self.mtime_ns


class PartFailed(Exception):  # noqa: N818 - says what has happened
    """A part cannot be done now; the message says why."""


class PartWorker:
    """Do parts, one after the other, with one classifier. `sleep` and `now` are parameters for tests.

    `staging` is a folder for photos that have to be fetched.
    """

    def __init__(
        self,
        work: Work,
        source: Source,
        classifier: Classifier,
        staging: Path,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._work, self._source, self._classifier = work, source, classifier
        self._staging = staging
        self._model = AnsweringModel(work.settings, work.bundle)
        self._sleep, self._now = sleep, now

    def do(self, number: int) -> Done:
        """Do a part, unless it is done, in several attempts if it fails; return what became of it."""
        began, cpu = time.monotonic(), time.process_time()
        # A machine that was lost may have done it before it could say so.
        if (finished := self._finished(number)) is not None:
            return Done(number, finished)
        try:
            self._refuse_other_installation()
            photos, problem = self._in_attempts(number)
            done = Done(number, photos, problem)
        except PawsortError as error:
            done = Done(number, 0, f"{socket.gethostname()}: {error}", is_final=True)
        return done._replace(seconds=time.monotonic() - began, cpu_seconds=time.process_time() - cpu)

    def _finished(self, number: int) -> int | None:
        """Return how many results a part has, None if it is not done."""
        try:
            mark, rows = parts.read_mark(self._work.run, number)
        except (DamagedPart, OSError):  # what the attempt says of it
            return None
        return rows if mark == (self._work.digest, number) else None

    def _refuse_other_installation(self) -> None:
        """Raise PawsortError where this machine would answer otherwise than the one that planned."""
        if (here := _version()) != self._work.version:
            raise PawsortError(
                f"Pawsort {here} is installed here, the run was planned with {self._work.version}"
            )
        if self._model.key("") != self._work.answer_key:
            raise PawsortError(
                "other versions of packages, or another processor, would give other answers than those that "
                "were planned; install requirements-cluster.lock on each machine"
            )

    def _in_attempts(self, number: int) -> tuple[int, str | None]:
        problem = ""
        for wait in (*WAITS, None):
            try:
                with limited(self._work.settings.permissions):
                    return self._attempt(number, is_last=wait is None), None
            except (PartFailed, DamagedPart) as error:
                problem = str(error)
            except OSError as error:
                problem = f"{error.filename or self._source.name}: {error.strerror or error}"
            self._classifier.stop()  # it has batches of this attempt, whose answers are not those of the next
            if wait is not None:
                log.warning("part %d: %s; it is tried again in %g s", number, problem, wait)
                self._sleep(wait)
        return 0, problem

    def _attempt(self, number: int, *, is_last: bool) -> int:
        self._source.check()
        part = parts.read_list(self._work.run, number)
        results = self._results(part, is_last)
        if is_away(sum(map(_is_missing, results)), len(results)):
            raise PartFailed(
                "none of its photos is there; is a disk not mounted? If they were deleted, plan again"
            )
        parts.write_results(self._work.run, Mark(self._work.digest, number), results)
        return len(results)

    def _results(self, part: Part, is_last: bool) -> list[Result]:
        """Return a row for each photo. A file that is another version than was listed is read again."""
        versions = {n: (photo.bytes, photo.mtime_ns) for n, photo in enumerate(part.photos)}
        found: dict[int, Result] = {}
        for _ in range(_ROUNDS):
            for n, seen, result in self._round(part, sorted(versions), is_last):
                if seen.version == versions[n] and _agree(seen, result):
                    del versions[n]
                else:
                    versions[n] = seen.version
                    result = _CHANGING._replace(id=n)
                found[n] = self._row(part, n, seen, result)
        return [found[n] for n in range(len(part.photos))]

    def _round(
        self, part: Part, chosen: Sequence[int], is_last: bool
    ) -> Iterator[tuple[int, Seen, ClassificationResult]]:
        paths: list[bytes] = []

        def fetched() -> Iterator[bytes]:
            local = partial(self._source.local, staging=self._staging)
            for path in ahead(local, [part.photos[n] for n in chosen], self._source.fetches):
                paths.append(path)
                yield path

        limits, size = self._work.settings.limits, self._work.settings.batch.size
        for result in classify_files(self._classifier, fetched(), size, limits.attempts):
            n, path = chosen[result.id], paths[result.id]
            yield n, _read(path, limits, is_last), result
            if self._source.fetches:
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def _row(self, part: Part, n: int, seen: Seen, result: ClassificationResult) -> Result:
        listed = part.photos[n]
        if self._source.fetches:
            seen = seen._replace(dev=0, ino=0)
        engine = self._classifier.engine_name
        decision = dated(self._model.decision(part.first + n, seen.sha256, result, engine), listed.path)
        values = decision._asdict() | seen._asdict() | {"path": listed.path, "decided_at": self._now()}
        return Result(*(values[name] for name in Result._fields))


def _read(path: bytes, limits: LimitSettings, is_last: bool) -> Seen:
    """Return the version of a file, read to its end.

    Raises PartFailed where the error is not the file's own: at the last attempt, a disk error is.
    """
    try:
        status = lstat_any(path)
        seen = Seen(None, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return seen._replace(sha256=fingerprint(path, limits).sha256)
    except UnreadableImage:
        return seen
    except OSError as error:
        if error.errno in AWAY_ERRNOS or (error.errno == errno.EIO and not is_last):
            raise PartFailed(f"{os.fsdecode(path)}: {error.strerror}") from error
        return Seen()


def _agree(seen: Seen, result: ClassificationResult) -> bool:
    """Return whether the classifier could read a file if this process could, and only then."""
    if result.scores is not None:
        return seen.sha256 is not None
    return result.reason != "unreadable" or seen.sha256 is None


def _is_missing(result: Result) -> bool:
    return result.reason == "unreadable" and result.dev == result.ino == 0
