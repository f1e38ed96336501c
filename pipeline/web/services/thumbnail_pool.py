"""Draw thumbnails in a child process, which is started at the first request and ends when idle."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.child_process import Main
from pipeline.classifier.supervised_child import ChildFailed, ClosingError, FailureReason, SupervisedChild
from pipeline.settings.sections import LimitSettings
from pipeline.thumbnails.draw_thumbnail import THREADS, Thumbnail, ThumbnailRequest, draw_thumbnails
from pipeline.web.served_models.child_thread import ChildThread, FullError

IDLE_SECONDS = 180.0
"""How long the child is kept without work."""

START_SECONDS = 60.0
"""How long the child may take until it is ready; a second, unless the machine swaps."""

MOST_WAITING = 400
"""Requests that may wait; more are refused, because their pages are closed before their turn comes."""

_NAME = "the thumbnail process"

_PROBLEMS: dict[FailureReason, str] = {
    "decoder_crashed": "the decoder crashed",
    "timeout": "the decoder did not finish in time",
}


class BusyError(Exception):
    """Too many thumbnails were requested at once."""


@dataclass(frozen=True, slots=True)
class _Job:
    request: ThumbnailRequest
    future: Future[Thumbnail] = field(default_factory=Future)


class ThumbnailPool:
    """Draw thumbnails of files; `child` is a parameter for tests."""

    def __init__(self, limits: LimitSettings, child: Main = draw_thumbnails) -> None:
        self._limits = limits
        self._main = child
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(1)
        self._thread: _ThumbnailThread | None = None

    def request(self, root: Path, source: bytes, longest: int) -> Future[Thumbnail]:
        """Request a thumbnail of `source`, a path relative to `root`. Raises BusyError.

        `longest` is its longer side in pixels. Each problem is a Thumbnail without a JPEG.
        """
        job = _Job(ThumbnailRequest(next(self._ids), root, source, longest))
        try:
            with self._lock:
                if self._thread is None or not self._thread.put([job]):
                    self._thread = _ThumbnailThread(self._limits, self._main, self._slots)
                    self._thread.put([job])
                    self._thread.thread.start()
        except FullError:
            raise BusyError from None
        return job.future

    def close(self) -> None:
        """End the child; thumbnails that are not drawn have a problem."""
        thread = self._thread
        if thread is not None:
            thread.close()
            thread.thread.join(10)


class _ThumbnailThread(ChildThread[_Job]):
    """The thread of the child that draws."""

    def __init__(self, limits: LimitSettings, main: Main, slots: threading.Semaphore) -> None:
        super().__init__(_NAME, slots, capacity=MOST_WAITING, batch_size=THREADS, idle_seconds=IDLE_SECONDS)
        self._child = SupervisedChild(
            main,
            limits,
            name=_NAME,
            start_seconds=START_SECONDS,
            progress_seconds=limits.decode_seconds,
            start_attempts=1,
            closing=self.closing,
        )
        self._drawing: dict[int, _Job] = {}

    def start_child(self, timeout: float) -> bool:
        return self._child.ready(timeout) is not None

    def stop_child(self) -> None:
        self._child.stop()

    def do(self, jobs: Sequence[_Job]) -> None:
        """Draw `jobs`, and others that arrive meanwhile, so that each thread of the child has one."""
        self._send(jobs)
        try:
            while self._drawing:
                thumbnail = self._child.receive(1.0)
                if isinstance(thumbnail, Thumbnail):
                    self._drawing.pop(thumbnail.id).future.set_result(thumbnail)
                self._send(self.take(THREADS - len(self._drawing)))
        except ChildFailed as failure:
            for job in self._drawing.values():
                job.future.set_result(Thumbnail(job.request.id, None, _PROBLEMS[failure.reason]))
            self._drawing.clear()

    def fail(self, job: _Job, error: Exception) -> None:
        problem = "the server stops" if isinstance(error, ClosingError) else f"{_NAME} failed"
        job.future.set_result(Thumbnail(job.request.id, None, problem))

    def _send(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            self._drawing[job.request.id] = job
            self._child.send(job.request)
