"""Cache results for a while, so that refreshing pages take little time from the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 0.02
"""At most this share of the time is spent on computing one result."""

LEAST_SECONDS = 1.0
MOST = 64
"""Results kept at once."""


@dataclass(slots=True)
class _Kept(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    until: float = float("-inf")


class Cache:
    """Keep results by name, for longer the longer they took to compute; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Hashable, _Kept[object]] = {}
        self._lock = threading.Lock()

    def get(self, name: Hashable, compute: Callable[[], T]) -> T:
        """Return the recent result of `compute`, which runs in one thread at a time for each name."""
        with self._lock:
            if len(self._kept) >= MOST and name not in self._kept:
                self._kept.clear()
            kept = self._kept.setdefault(name, _Kept())
        with kept.lock:
            if self._clock() >= kept.until:
                began = self._clock()
                kept.value = compute()
                now = self._clock()
                kept.until = now + max(LEAST_SECONDS, (now - began) / SHARE)
            return kept.value  # type: ignore[return-value]

    def forget(self) -> None:
        """Drop all results, so that a visitor sees the change that they made."""
        with self._lock:
            self._kept.clear()
