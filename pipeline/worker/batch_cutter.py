"""When waiting arrivals become a batch: pure, with the clock passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Cutter(Generic[T]):
    """Collect items until there are `size` of them, or the first has waited `wait_seconds`."""

    size: int
    wait_seconds: float
    items: list[T] = field(default_factory=list)
    since: float = 0.0

    @property
    def room(self) -> int:
        """How many more items the next batch takes."""
        return self.size - len(self.items)

    def add(self, items: list[T], now: float) -> None:
        """Let `items` wait, from `now` on (seconds of a clock that never goes back)."""
        if items and not self.items:
            self.since = now
        self.items += items

    def cut(self, now: float) -> list[T]:
        """Return the next batch, empty if it is not time yet."""
        if not self.items or (self.room > 0 and now - self.since < self.wait_seconds):
            return []
        batch, self.items = self.items, []
        return batch
