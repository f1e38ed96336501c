"""Bound the memory that several threads use at once: a FIFO weighted semaphore."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class WeightedSemaphore:
    """Weighted semaphore, first in, first out: the amounts that are held add up to `total` at most."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = 0
        self._turn = threading.Lock()
        self._released = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until `amount` is free, then hold it; more than `total` counts as `total`."""
        amount = min(amount, self._total)
        # Only the first in the queue waits for room, so many small amounts cannot starve a large one.
        with self._turn, self._released:
            self._released.wait_for(lambda: self._held + amount <= self._total)
            self._held += amount
        try:
            yield
        finally:
            with self._released:
                self._held -= amount
                self._released.notify_all()
