"""A bound on what several threads hold at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class WeightedSemaphore:
    """Let holders in, in the order in which they come, while what they hold fits into `total` together."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = 0
        self._turn = threading.Lock()
        self._released = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until there is room for `amount`; more than there is at all counts as all of it."""
        amount = min(amount, self._total)
        # One waits at a time, the others behind it: many small ones cannot starve a large one.
        with self._turn, self._released:
            self._released.wait_for(lambda: self._held + amount <= self._total)
            self._held += amount
        try:
            yield
        finally:
            with self._released:
                self._held -= amount
                self._released.notify_all()
