"""A thread with a queue of jobs that owns one child process.

The kernel ends a child with the thread that started it, so each child has a thread that lives as long.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from models.errors import in_words
from pipeline.classifier.supervised_child import ClosingError
from pipeline.errors import ModelError

log = logging.getLogger(__name__)

_TICK = 0.25


class FullError(Exception):
    """Too many jobs wait for this child."""


class Job(Protocol):
    """A request and the future of its answer."""

    @property
    def future(self) -> Future[Any]:
        """Resolved by the thread that does the job."""


J = TypeVar("J", bound=Job)


class ChildThread(ABC, Generic[J]):
    """Do jobs in batches of up to `batch_size` with a child process; end when idle, retired or closed.

    `name` is for the log. At most `capacity` jobs may wait. A permit of `slots` is held while there is a
    child, so that `slots` limits the number of children. The thread ends after `idle_seconds` without a job.
    """

    def __init__(
        self, name: str, slots: threading.Semaphore, *, capacity: int, batch_size: int, idle_seconds: float
    ) -> None:
        self.is_ready = False
        """Whether the child would begin a job at once."""
        self.retired = False
        """Whether no more jobs are accepted."""
        self.closing = threading.Event()
        self.thread = threading.Thread(
            target=self._run, name=f"pawsort-{name.rpartition(' ')[2]}", daemon=True
        )
        self._name = name
        self._slots = slots
        self._capacity = capacity
        self._batch_size = batch_size
        self._idle_seconds = idle_seconds
        self._jobs: queue.Queue[J] = queue.Queue()
        self._taken: list[J] = []
        self._lock = threading.Lock()

    def put(self, jobs: Sequence[J]) -> bool:
        """Add jobs; return False if this thread is retired. Raises FullError."""
        with self._lock:
            if self.retired:
                return False
            if self._jobs.qsize() + len(jobs) > self._capacity:
                raise FullError
            for job in jobs:
                self._jobs.put(job)
            return True

    def retire(self) -> None:
        """Accept no more jobs, and end once the accepted ones are done."""
        with self._lock:
            self.retired = True

    def close(self) -> None:
        """End soon; jobs that are not done fail with ClosingError."""
        self.closing.set()
        self.retire()

    @abstractmethod
    def start_child(self, timeout: float) -> bool:
        """Start the child if need be; return whether it is ready, after up to `timeout` seconds.

        Raises ModelError if it cannot be started, ClosingError.
        """

    @abstractmethod
    def do(self, jobs: Sequence[J]) -> None:
        """Resolve the futures of these jobs with the ready child. Raises ModelError, ClosingError."""

    @abstractmethod
    def stop_child(self) -> None:
        """End the child."""

    def fail(self, job: J, error: Exception) -> None:
        """Resolve a job that cannot be done any more."""
        job.future.set_exception(error)

    def take(self, most: int, timeout: float = 0.0) -> list[J]:
        """Return up to `most` jobs, after up to `timeout` seconds for the first; drop cancelled ones."""
        jobs: list[J] = []
        while len(jobs) < most:
            try:
                job = self._jobs.get(timeout=timeout) if timeout and not jobs else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job.future.set_running_or_notify_cancel():
                jobs.append(job)
        self._taken += jobs
        return jobs

    def _run(self) -> None:
        problem: Exception = ClosingError()
        try:
            while not self._slots.acquire(timeout=_TICK):
                self._refuse_closed()
            try:
                self._work()
            finally:
                self.is_ready = False
                self.stop_child()
                self._slots.release()
        except (ClosingError, ModelError) as error:
            problem = error
        except Exception as error:  # such as no more processes; no job may wait forever for a dead thread
            log.exception("%s failed", self._name)
            problem = ModelError(f"{self._name} failed: {in_words(error)}")
        finally:
            self.retire()
            self._fail_rest(problem)

    def _work(self) -> None:
        self._await_child()
        self.is_ready = True
        active_at = time.monotonic()
        while not self._is_done(active_at):
            self._refuse_closed()
            if jobs := self.take(self._batch_size, _TICK):
                self._await_child()
                self.do(jobs)
                self._taken.clear()
                active_at = time.monotonic()

    def _await_child(self) -> None:
        while not self.start_child(_TICK):
            pass

    def _is_done(self, active_at: float) -> bool:
        with self._lock:
            idle = time.monotonic() - active_at > self._idle_seconds
            self.retired = self.retired or (idle and self._jobs.empty())
            return self.retired and self._jobs.empty()

    def _fail_rest(self, problem: Exception) -> None:
        while self.take(1):
            pass
        for job in self._taken:
            if not job.future.done():
                self.fail(job, problem)

    def _refuse_closed(self) -> None:
        if self.closing.is_set():
            raise ClosingError
