"""Start a child process, wait until it is ready, and notice when it ends or makes no progress.

It runs the classifier of the worker, those of the pages, and the thumbnail decoder. Not thread-safe: one
thread uses it, and must live as long as the child.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from pipeline.child_failures import advice
from pipeline.child_process import ChildProcess, Main, ProcessExited
from pipeline.classifier.messages import Ready, Unusable, Working
from pipeline.errors import ModelError

FailureReason = Literal["decoder_crashed", "timeout"]

_TICK = 0.25
"""Seconds between two checks of `closing`."""


class ChildFailed(Exception):  # noqa: N818 - says what has happened
    """The child ended, or made no progress in time and was killed; requests in flight are lost."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ClosingError(Exception):
    """The owner of the child is shutting down; requests without an answer are dropped."""


class SupervisedChild:
    """Run `main(requests, answers, *arguments)` in a child process, from the first `start` or `ready` on.

    The child sends Ready within `start_seconds`; one that ends or is too slow is started again, up to
    `start_attempts` times. Then it answers each request with one message, and may send Working in between:
    while a request is in flight, no more than `progress_seconds` may pass without a message. `name` is for
    errors. Once `closing` is set, each wait raises ClosingError. `clock` counts seconds.
    """

    def __init__(
        self,
        main: Main,
        *arguments: object,
        name: str,
        start_seconds: float,
        progress_seconds: float,
        start_attempts: int = 3,
        closing: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.starts = 0
        """How many processes were started; one more than the restarts."""
        self._main = main
        self._arguments = arguments
        self._name = name
        self._start_seconds = start_seconds
        self._progress_seconds = progress_seconds
        self._start_attempts = start_attempts
        self._closing = closing
        self._clock = clock
        self._process: ChildProcess | None = None
        self._ready: Ready | None = None
        self._failed_starts = 0
        self._in_flight = 0
        self._timeout = progress_seconds
        self._progress_at = 0.0  # when the child was started, or last made progress

    @property
    def is_started(self) -> bool:
        """Whether there is a process, ready or not."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The id of the process, None without one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start a process unless there is one."""
        if self._process is None:
            self._process = ChildProcess(self._main, *self._arguments)
            self._progress_at = self._clock()
            self.starts += 1

    def ready(self, timeout: float = 0.0) -> Ready | None:
        """Return the Ready message of the process; None if `timeout` seconds do not bring it.

        Raises ModelError if the child is unusable or could not be started, with its exit summary.
        """
        wait = self._wait(timeout)
        if self._ready is None:
            self.start()
            self._await_ready(wait)
        return self._ready

    def send(self, request: object, timeout: float | None = None) -> None:
        """Send a request to the ready child, without waiting.

        `timeout` replaces `progress_seconds` until the next request.
        """
        assert self._ready and self._process, "send before ready"
        if not self._in_flight:
            self._progress_at = self._clock()
        self._in_flight += 1
        self._timeout = self._progress_seconds if timeout is None else timeout
        self._process.send(request)

    def receive(self, timeout: float) -> Any:
        """Return the next answer; None if `timeout` seconds bring none, or only progress.

        Raises ChildFailed, after which `ready` starts a new process, and ModelError.
        """
        assert self._process, "receive before start"
        try:
            message = self._process.receive(min(self._wait(timeout), self._remaining()))
        except ProcessExited:
            raise ChildFailed("decoder_crashed", self.kill()) from None
        self._refuse_unusable(message)
        if message is not None:
            return self._progressed(message)
        if self._remaining() <= 0:
            self.kill()
            raise ChildFailed("timeout", f"no progress within {self._timeout:g} s")
        return None

    def stop(self) -> None:
        """End the process within about two seconds; requests in flight are dropped."""
        if self._process and self._ready:
            self._process.stop()
        elif self._process:
            self._process.kill()  # it reads no request before it is ready
        self._forget()

    def kill(self) -> str:
        """Kill the process and return its exit summary."""
        exit_summary = self._process.kill() if self._process else ""
        self._forget()
        return exit_summary

    def _await_ready(self, timeout: float) -> None:
        assert self._process
        try:
            message = self._process.receive(timeout)
        except ProcessExited:
            return self._start_again()
        self._refuse_unusable(message)
        if isinstance(message, Ready):
            self._ready, self._failed_starts = message, 0
        elif self._clock() - self._progress_at > self._start_seconds:
            self._start_again()
        return None

    def _start_again(self) -> None:
        exit_summary = self.kill()
        self._failed_starts += 1
        if self._failed_starts >= self._start_attempts:
            self._failed_starts = 0
            raise ModelError(
                f"{self._name} ended {self._start_attempts} times while starting: "
                + ". ".join(filter(None, (exit_summary.rstrip("."), advice(exit_summary))))
            )
        self.start()

    def _refuse_unusable(self, message: object) -> None:
        if isinstance(message, Unusable):
            self.kill()
            raise ModelError(message.message)

    def _progressed(self, message: object) -> Any:
        self._progress_at = self._clock()
        if isinstance(message, Working):
            return None
        self._in_flight -= 1
        return message

    def _remaining(self) -> float:
        if not self._in_flight:
            return float("inf")
        return self._progress_at + self._timeout - self._clock()

    def _wait(self, timeout: float) -> float:
        if self._closing is None:
            return timeout
        if self._closing.is_set():
            raise ClosingError
        return min(timeout, _TICK)

    def _forget(self) -> None:
        self._process, self._ready, self._in_flight = None, None, 0
