"""Answers that are kept for a while, so that pages which ask again and again cost the worker little."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 0.02
"""Of the time, at most this part is spent on one answer."""

LEAST_SECONDS = 1.0
MOST = 64
"""Answers kept at once."""


@dataclass(slots=True)
class _Kept(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    until: float = float("-inf")


class Cache:
    """Keeps answers by name, the longer the more they cost; `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Hashable, _Kept[object]] = {}
        self._lock = threading.Lock()

    def get(self, name: Hashable, ask: Callable[[], T]) -> T:
        """Return what `ask` gave lately; it is asked by one thread at a time."""
        with self._lock:
            if len(self._kept) >= MOST and name not in self._kept:
                self._kept.clear()
            kept = self._kept.setdefault(name, _Kept())
        with kept.lock:
            if self._clock() >= kept.until:
                began = self._clock()
                kept.value = ask()
                now = self._clock()
                kept.until = now + max(LEAST_SECONDS, (now - began) / SHARE)
            return kept.value  # type: ignore[return-value]

    def forget(self) -> None:
        """Ask anew from now on: somebody changed something and wants to see it."""
        with self._lock:
            self._kept.clear()
