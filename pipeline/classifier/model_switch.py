"""Change the worker's model to the version in force, without a restart.

The model at work goes on while the classifier of the new version loads, passes its self-test and classifies a
few photos that were filed before. Then no batch is submitted until those in flight are answered, the folders
of new classes are made, and the new version takes over. If anything of this fails, the model at work stays. A
version at work that cannot be started again, since its files were deleted, gives way to the one before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from models.bundle.bundle import Bundle
from models.errors import in_words
from pipeline.classifier.client import ChildLost, Classifier
from pipeline.classifier.messages import ClassificationResult, Item
from pipeline.errors import ModelError, PawsortError
from pipeline.learning.record import signature
from pipeline.learning.versions import Family, Version, chain, chain_or_base

log = logging.getLogger(__name__)
_T = TypeVar("_T")

LOOK_SECONDS = 1.0
"""Between two looks at the record of the version in force: one `stat` each."""

BACKOFF_SECONDS = (60.0, 300.0, 1800.0, 3600.0)
"""Pauses before a version that failed is tried again; a change of the record ends them."""

SAMPLES = 8
"""Photos filed before that a version must classify before it is used."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version, its bundle, and a classifier that runs it."""

    version: Version
    bundle: Bundle
    classifier: Classifier


class Surroundings(Protocol):
    """What a switch needs of the worker."""

    def load(self, version: Version) -> LoadedModel:
        """Load a version; its classifier is not started yet. Raises PawsortError."""

    def prepare(self, bundle: Bundle, before: Bundle) -> None:
        """Make the folders that `before` does not have. Raises PawsortError, OSError."""

    def samples(self, count: int) -> Sequence[bytes]:
        """Return the paths of some photos that were filed; they may be gone."""


class _Trial:
    """The test of a version: it must load, pass its self-test and classify samples."""

    def __init__(self, model: LoadedModel, surroundings: Surroundings) -> None:
        self.model = model
        self.has_passed = False
        self._surroundings = surroundings
        self._is_sampling = False

    def advance(self) -> None:
        """Go on without waiting. Raises ModelError or ChildLost if the version fails."""
        classifier = self.model.classifier
        if self.has_passed or not classifier.ready():
            return
        if self._is_sampling:
            self.has_passed = bool(classifier.poll(0.0))
        elif items := list(enumerate(self._surroundings.samples(SAMPLES))):
            self._is_sampling = True
            classifier.submit(items)
        else:
            self.has_passed = True


class ModelSwitch:
    """A Classifier whose model is the version in force of `family`, as soon as that is known to work.

    `first` is the model to start with. It is tried too, unless it is the base, and replaced by the version
    before it if it fails. `clock` counts seconds. Not thread-safe.
    """

    def __init__(
        self,
        family: Family,
        first: LoadedModel,
        surroundings: Surroundings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.family = family
        self.problem: str | None = None
        """The reason why the version in force is not at work."""
        self._surroundings = surroundings
        self._clock = clock
        self._active = first
        self._trial = self._trial_of(first)
        self._failure: ModelError | None = None  # why the version at work cannot be started again
        self._seen = signature(family.record_path)
        self._look_at = 0.0
        self._retry_at = 0.0  # the version in force may not be the first
        self._failures = 0

    @property
    def active(self) -> LoadedModel:
        """The model at work."""
        return self._active

    def advance(self) -> Bundle | None:
        """Go on with a change, without waiting; return the bundle at work if that has changed.

        Called before each submission. Raises ModelError if the base cannot be used.
        """
        before = self._active
        if self._failure:
            self._fall_back(self._failure)
        elif self._trial:
            self._try(self._trial)
        self._look()
        return None if self._active is before else self._active.bundle

    # --- as a Classifier: the model at work ---------------------------------------------------------

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the model at work; empty until ready."""
        return () if self._is_starting else self._active.classifier.labels

    @property
    def engine_name(self) -> str:
        """How its network is run; empty until ready."""
        return self._active.classifier.engine_name

    @property
    def starts(self) -> int:
        """How many children it has started."""
        return self._active.classifier.starts

    @property
    def in_flight(self) -> int:
        """How many batches were submitted and not yet answered."""
        return 0 if self._is_starting else self._active.classifier.in_flight

    def start(self) -> None:
        """Begin to load the model at work."""
        self._active.classifier.start()

    def ready(self, timeout: float = 0.0) -> bool:
        """Return whether files may be submitted; not while a model is tried at the start, or about to change.

        Raises ModelError if the base cannot be used.
        """
        if self._failure or (self._trial and (self._is_starting or self._trial.has_passed)):
            return False
        return self._or_fail(self._active.classifier.ready, timeout) or False

    def submit(self, items: Sequence[Item]) -> None:
        """Send one batch to the model at work."""
        self._active.classifier.submit(items)

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Return the results of one batch. Raises ChildLost, ModelError if the base cannot be used."""
        if self._is_starting or self._failure:  # its next result is that of the trial
            time.sleep(timeout)
            return []
        return self._or_fail(self._active.classifier.poll, timeout) or []

    def stop(self) -> None:
        """End all children; a version that was being tried is tried again after the next start."""
        if self._trial and self._is_starting:
            self._trial = _Trial(self._active, self._surroundings)
        elif self._trial:
            self._trial.model.classifier.stop()
            self._trial, self._retry_at = None, 0.0
        self._active.classifier.stop()

    @property
    def _is_starting(self) -> bool:
        """Whether the model at work is itself still being tried."""
        return self._trial is not None and self._trial.model is self._active

    def _look(self) -> None:
        """See whether another version is in force, or it is time to try one again."""
        now = self._clock()
        if now < self._look_at or self._is_starting:
            return
        self._look_at = now + LOOK_SECONDS
        seen = signature(self.family.record_path)
        if seen is None:
            return
        if seen != self._seen:
            self._seen, self._failures = seen, 0
        elif now < self._retry_at:
            return
        self._retry_at = float("inf")
        try:
            self._want(chain(self.family)[0])
        except (PawsortError, OSError) as error:
            self._refuse("the model in force", error)

    def _want(self, version: Version) -> None:
        """Begin to try a version, unless it is at work or being tried."""
        if self._trial and self._trial.model.version != version:
            self._trial.model.classifier.stop()
            self._trial = None
        if version == self._active.version:
            self.problem = None
        elif self._trial is None:
            log.info("trying model %s; %s goes on meanwhile", version.name, self._active.version.name)
            try:
                model = self._surroundings.load(version)
                model.classifier.start()
            except (PawsortError, OSError) as error:
                self._refuse(f"model {version.name}", error)
            else:
                self._trial = _Trial(model, self._surroundings)

    def _try(self, trial: _Trial) -> None:
        try:
            trial.advance()
            if trial.has_passed and not self._is_starting and not self._active.classifier.in_flight:
                self._surroundings.prepare(trial.model.bundle, self._active.bundle)
        except (PawsortError, ChildLost, OSError) as error:
            self._drop(trial, error)
        else:
            if trial.has_passed and not self.in_flight:
                self._take_over(trial.model)

    def _take_over(self, model: LoadedModel) -> None:
        before, self._active, self._trial = self._active, model, None
        if before is not model:
            self.problem = None
            log.info("model %s is at work now, in place of %s", model.version.name, before.version.name)
            before.classifier.stop()

    def _drop(self, trial: _Trial, error: Exception) -> None:
        """End a trial that failed; at the start, go on with the version before."""
        if self._is_starting:
            self._fall_back(error)
            return
        trial.model.classifier.stop()
        self._trial = None
        self._refuse(f"model {trial.model.version.name}", error)

    def _or_fail(self, ask: Callable[[float], _T], timeout: float) -> _T | None:
        """Return what the version at work says; None if it cannot start again, when nothing is in flight.

        Raises ModelError for the base, which nothing can replace.
        """
        try:
            return ask(timeout)
        except ModelError as error:
            if not self._active.version.number:
                raise
            self._failure = error
            return None

    def _fall_back(self, error: Exception) -> None:
        """Go on with the version before the one at work; one that was being tried is tried again later."""
        for model in (self._active, *([self._trial.model] if self._trial else [])):
            model.classifier.stop()
        failed = self._active.version
        self._active, self._failure = self._before(failed), None
        self._trial = self._trial_of(self._active)
        self._active.classifier.start()
        self._refuse(f"model {failed.name}", error)

    def _trial_of(self, first: LoadedModel) -> _Trial | None:
        """Return the trial of a model that begins; the base, which nothing can replace, has none."""
        return _Trial(first, self._surroundings) if first.version.number else None

    def _before(self, failed: Version) -> LoadedModel:
        """Load the latest version in force before one that failed. Raises ModelError if the base fails."""
        versions = chain_or_base(self.family)
        earlier = versions[versions.index(failed) + 1 :] if failed in versions[:-1] else versions
        for version in earlier[:-1]:
            try:
                return self._surroundings.load(version)
            except (PawsortError, OSError) as error:
                log.error("%s cannot be used; the version before it is tried: %s", version.name, error)
        return self._surroundings.load(self.family.base)

    def _refuse(self, called: str, error: Exception) -> None:
        """Say why a version is not used, and when it is tried again."""
        pause = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
        self._failures += 1
        self._retry_at = self._clock() + pause
        why = in_words(error) if isinstance(error, OSError) else str(error)
        if isinstance(error, ChildLost):
            why = f"it failed on photos that were filed before ({error.reason}: {error.detail})"
        self.problem = f"{called} is not used: {why.rstrip('.')}"
        active = self._active.version.name
        log.error("%s; %s stays at work, the next try is in %g s", self.problem, active, pause)
