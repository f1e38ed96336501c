"""Pool of classifier processes, one for each model, at most MOST_CLASSIFIERS.

A process is started at the first request for its model, and ends when there was none for some minutes.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.child_process import Main
from pipeline.classifier.client import ProcessClassifier, classify_files
from pipeline.classifier.messages import ClassificationResult, Explain, Heatmap
from pipeline.classifier.serve import serve
from pipeline.settings.config import Settings
from pipeline.web.served_models.child_thread import ChildThread

MOST_CLASSIFIERS = 2
IDLE_SECONDS = 300.0
MOST_WAITING = 300
"""Requests that may wait for one model; more are refused."""

SERVE: Main = partial(serve, niceness=5)
"""The classifier process of the pages: a visitor waits for it, but the worker comes first."""


@dataclass(frozen=True, slots=True)
class _Photo:
    path: bytes
    future: Future[ClassificationResult] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Explanation:
    request: Explain
    future: Future[Heatmap] = field(default_factory=Future)


class ClassifierPool:
    """Classify photos with any model; `child` is a parameter for tests."""

    def __init__(self, settings: Settings, child: Main = SERVE) -> None:
        self._settings = settings
        self._main = child
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(MOST_CLASSIFIERS)
        self._classifiers: dict[Path, _PooledClassifier] = {}
        self._uses = itertools.count()

    def classify(self, bundle: Path, paths: Sequence[bytes]) -> list[Future[ClassificationResult]]:
        """Classify photos (absolute paths) with the model at `bundle`. Raises FullError.

        A future may raise ModelError, or ClosingError when the server ends.
        """
        photos = [_Photo(path) for path in paths]
        self._submit(bundle, photos)
        return [photo.future for photo in photos]

    def explain(self, bundle: Path, request: Explain) -> Future[Heatmap]:
        """Draw the regions that support a label, by the model at `bundle`. Raises as `classify`."""
        explanation = _Explanation(request)
        self._submit(bundle, [explanation])
        return explanation.future

    def preload(self, bundle: Path) -> None:
        """Begin to load the model at `bundle`, before the first request for it."""
        self._submit(bundle, [])

    def is_ready(self, bundle: Path) -> bool:
        """Return whether the model at `bundle` is loaded."""
        with self._lock:
            return bundle in self._classifiers and self._classifiers[bundle].is_ready

    def close(self) -> None:
        """End all processes; unanswered requests raise ClosingError."""
        with self._lock:
            classifiers = list(self._classifiers.values())
        for classifier in classifiers:
            classifier.close()
        for classifier in classifiers:
            classifier.thread.join(10)

    def _submit(self, bundle: Path, jobs: Sequence[_Photo | _Explanation]) -> None:
        with self._lock:
            classifier = self._classifiers.get(bundle)
            if classifier is None or not classifier.put(jobs):
                self._make_room()
                classifier = _PooledClassifier(bundle, self._settings, self._main, self._slots)
                classifier.put(jobs)
                self._classifiers[bundle] = classifier
                classifier.thread.start()
            classifier.used = next(self._uses)

    def _make_room(self) -> None:
        """Retire the least recently used classifier; the new one waits until it has ended."""
        self._classifiers = {path: each for path, each in self._classifiers.items() if not each.retired}
        while len(self._classifiers) >= MOST_CLASSIFIERS:
            oldest = min(self._classifiers, key=lambda path: self._classifiers[path].used)
            self._classifiers.pop(oldest).retire()


class _PooledClassifier(ChildThread[_Photo | _Explanation]):
    """The classifier of one model and its thread."""

    def __init__(self, bundle: Path, settings: Settings, main: Main, slots: threading.Semaphore) -> None:
        super().__init__(
            "the classifier",
            slots,
            capacity=MOST_WAITING,
            batch_size=settings.batch.size,
            idle_seconds=IDLE_SECONDS,
        )
        self.used = 0
        """When it was last used, as a count of all uses of the pool."""
        self._settings = settings
        self._classifier = ProcessClassifier(
            bundle, settings.engine, settings.limits, child=main, closing=self.closing
        )

    def start_child(self, timeout: float) -> bool:
        return self._classifier.ready(timeout)

    def stop_child(self) -> None:
        self._classifier.stop()

    def do(self, jobs: Sequence[_Photo | _Explanation]) -> None:
        self._classify([job for job in jobs if isinstance(job, _Photo)])
        for job in jobs:
            if isinstance(job, _Explanation):
                while not self._classifier.ready(1.0):  # the job before it may have ended the process
                    pass
                job.future.set_result(self._classifier.explain(job.request))

    def _classify(self, photos: Sequence[_Photo]) -> None:
        paths = (photo.path for photo in photos)
        attempts = self._settings.limits.attempts
        for result in classify_files(self._classifier, paths, self._settings.batch.size, attempts):
            photos[result.id].future.set_result(result)
