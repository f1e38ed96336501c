"""Calls that are made ahead, in threads, while their results are used in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(call: Callable[[T], R], items: Iterable[T], at_once: int) -> Iterator[R]:
    """Yield what `call` returns for each item, in order, while `at_once` further calls are under way.

    An error is raised in its turn, once the other calls have ended.
    """
    if not at_once:
        yield from map(call, items)
        return
    pending = deque[Future[R]]()
    with ThreadPoolExecutor(at_once, "pawsort-fetch") as pool:
        try:
            for item in items:
                pending.append(pool.submit(call, item))
                if len(pending) > at_once:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
