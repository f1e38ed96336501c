"""Collect settled files into batches. Pure: the clock is passed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class BatchCutter(Generic[T]):
    """Collect items until there are `size` of them, or the first has waited `wait_seconds`. Pure."""

    size: int
    wait_seconds: float
    items: list[T] = field(default_factory=list)
    since: float = 0.0

    @property
    def room(self) -> int:
        """How many more items the next batch takes."""
        return self.size - len(self.items)

    def add(self, items: Sequence[T], now: float) -> None:
        """Add items that wait from `now` on (seconds of a monotonic clock)."""
        if items and not self.items:
            self.since = now
        self.items += items

    def put_back(self, items: Sequence[T]) -> None:
        """Put items of a batch that was cut before all others."""
        self.items[:0] = items

    def cut(self, now: float) -> list[T]:
        """Return the next batch, empty if it is not due yet."""
        if not self.items or (self.room > 0 and now - self.since < self.wait_seconds):
            return []
        batch, self.items = self.items, []
        return batch
