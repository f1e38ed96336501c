"""The classifiers that are awake: one child for each model that somebody asks, two at most.

Each has a thread, because a child dies with the thread that made it. A child wakes at the first question,
answers what has come meanwhile together, and sleeps again when nobody asked for some minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.child_process import Main
from pipeline.classifier.client import classify_files
from pipeline.classifier.messages import ClassificationResult
from pipeline.config import Settings
from pipeline.errors import ModelError
from pipeline.web.classifiers.heatmap_classifier import (
    ClosingError,
    Heat,
    HeatmapClassifier,
    Question,
    serve_trials,
)

AWAKE = 2
IDLE_SECONDS = 300.0
WAITING = 300
"""Questions that may wait for one model; more are refused."""

_TICK = 0.25


class FullError(Exception):
    """Too many questions wait for this model."""


@dataclass(frozen=True, slots=True)
class _Photo:
    path: bytes
    future: Future[ClassificationResult] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Look:
    question: Question
    future: Future[Heat] = field(default_factory=Future)


class ClassifierPool:
    """Classifies photos with the model of choice; `child` is a parameter for tests."""

    def __init__(self, settings: Settings, child: Main = serve_trials) -> None:
        self._settings = settings
        self._main = child
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(AWAKE)
        self._keepers: dict[Path, _PooledClassifier] = {}
        self._uses = itertools.count()

    def classify(self, bundle: Path, paths: Sequence[bytes]) -> list[Future[ClassificationResult]]:
        """Ask the model at `bundle` what is on photos (absolute paths). Raises FullError.

        A future may raise ModelError, or ClosingError when the server ends.
        """
        photos = [_Photo(path) for path in paths]
        self._hand_over(bundle, photos)
        return [photo.future for photo in photos]

    def look(self, bundle: Path, question: Question) -> Future[Heat]:
        """Ask the model at `bundle` where it looks. Raises as `classify`."""
        look = _Look(question)
        self._hand_over(bundle, [look])
        return look.future

    def wake(self, bundle: Path) -> None:
        """Begin to load the model at `bundle`, since somebody is about to ask."""
        self._hand_over(bundle, [])

    def is_awake(self, bundle: Path) -> bool:
        """Tell whether the model at `bundle` would answer at once."""
        with self._lock:
            return bundle in self._keepers and self._keepers[bundle].is_ready

    def close(self) -> None:
        """Let all children go; what was asked raises ClosingError."""
        with self._lock:
            keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.close()
        for keeper in keepers:
            keeper.thread.join(10)

    def _hand_over(self, bundle: Path, jobs: Sequence[_Photo | _Look]) -> None:
        with self._lock:
            keeper = self._keepers.get(bundle)
            if keeper is None or not keeper.put(jobs):
                self._make_room()
                keeper = _PooledClassifier(bundle, self._settings, self._main, self._slots)
                keeper.put(jobs)
                self._keepers[bundle] = keeper
                keeper.thread.start()
            keeper.used = next(self._uses)

    def _make_room(self) -> None:
        """Ask who was not needed for longest to go; the newcomer waits until one has."""
        self._keepers = {path: keeper for path, keeper in self._keepers.items() if not keeper.retired}
        while len(self._keepers) >= AWAKE:
            oldest = min(self._keepers, key=lambda path: self._keepers[path].used)
            self._keepers.pop(oldest).retire()


class _PooledClassifier:
    """One model's child, its thread and its queue."""

    def __init__(self, bundle: Path, settings: Settings, main: Main, slots: threading.Semaphore) -> None:
        self.used = 0
        self.is_ready = False
        self.retired = False
        self._closing = threading.Event()
        self._jobs: queue.Queue[_Photo | _Look] = queue.Queue()
        self._settings = settings
        self._slots = slots
        self._lock = threading.Lock()
        self._trial = HeatmapClassifier(bundle, settings.engine, settings.limits, self._closing, main)
        self.thread = threading.Thread(target=self._run, name="pawsort-keeper", daemon=True)

    def put(self, jobs: Sequence[_Photo | _Look]) -> bool:
        """Take jobs; no once retired. Raises FullError."""
        with self._lock:
            if self.retired:
                return False
            if self._jobs.qsize() + len(jobs) > WAITING:
                raise FullError
            for job in jobs:
                self._jobs.put(job)
            return True

    def retire(self) -> None:
        """Take no more, and end once what was taken is answered."""
        with self._lock:
            self.retired = True

    def close(self) -> None:
        """End soon, answered or not."""
        self._closing.set()
        self.retire()

    def _run(self) -> None:
        problem: Exception = ClosingError()
        try:
            while not self._slots.acquire(timeout=_TICK):
                self._go_on()
            try:
                self._serve()
            finally:
                self.is_ready = False
                self._trial.stop()
                self._slots.release()
        except (ClosingError, ModelError) as error:
            problem = error
        finally:
            self.retire()
            self._refuse_rest(problem)

    def _serve(self) -> None:
        while not self._trial.ready(_TICK):
            pass
        self.is_ready = True
        asked_at = time.monotonic()
        while jobs := self._next(asked_at):
            if jobs != [None]:
                self._answer([job for job in jobs if job is not None])
                asked_at = time.monotonic()

    def _next(self, asked_at: float) -> list[_Photo | _Look | None]:
        """Return what waits, [None] after a moment without, or nothing when it is time to end."""
        self._go_on()
        try:
            jobs: list[_Photo | _Look | None] = [self._jobs.get(timeout=_TICK)]
        except queue.Empty:
            with self._lock:
                idle = time.monotonic() - asked_at > IDLE_SECONDS
                self.retired = self.retired or (idle and self._jobs.empty())
                return [] if self.retired and self._jobs.empty() else [None]
        while len(jobs) < self._settings.batch.size and not self._jobs.empty():
            jobs.append(self._jobs.get())
        return jobs

    def _answer(self, jobs: Sequence[_Photo | _Look]) -> None:
        running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        try:
            self._classify([job for job in running if isinstance(job, _Photo)])
            for job in running:
                if isinstance(job, _Look):
                    while not self._trial.ready(_TICK):
                        pass
                    job.future.set_result(self._trial.ask(job.question))
        except (ClosingError, ModelError) as error:
            for job in running:
                _unless_done(job.future.set_exception, job, error)
            raise

    def _classify(self, photos: Sequence[_Photo]) -> None:
        attempts = self._settings.limits.attempts
        found = classify_files(self._trial, (p.path for p in photos), self._settings.batch.size, attempts)
        for finding in found:
            photos[finding.id].future.set_result(finding)

    def _refuse_rest(self, problem: Exception) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(problem)

    def _go_on(self) -> None:
        if self._closing.is_set():
            raise ClosingError


def _unless_done(act: Callable[[Exception], None], job: _Photo | _Look, error: Exception) -> None:
    if not job.future.done():
        act(error)
