"""Call what may hang, such as a database or a network share, and wait for it a bounded time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import TypeVar, cast

T = TypeVar("T")


class BoundedCalls:
    """Calls by name, each in a thread of its own, and one at a time for each name.

    A call that hangs keeps its thread, which ends with the process; until it returns, no other is made. Own
    code, because the threads of `ThreadPoolExecutor` would let the process end only after them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Hashable, Future[object]] = {}

    def begin(self, name: Hashable, call: Callable[[], T]) -> Future[T]:
        """Begin a call, or return the one of this name that has not returned yet."""
        with self._lock:
            running = self._running.get(name)
            if running is None or running.done():
                running = self._running[name] = Future()
                threading.Thread(target=_run, args=(running, call), name=f"{name}", daemon=True).start()
            return cast("Future[T]", running)


def _run(result: Future[object], call: Callable[[], object]) -> None:
    try:
        result.set_result(call())
    except BaseException as error:
        result.set_exception(error)
