"""Progress of long tasks: the record, its callbacks, and an estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CountCallback = Callable[[int, int], None]
"""Called with the number done and the total."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a training; `metrics` is given at the end of an epoch."""

    stage: str
    done: int
    total: int
    seconds_left: float | None
    metrics: Mapping[str, float] | None = None


ProgressCallback = Callable[[Progress], None]


class StageProgress:
    """Turn counts of one stage into Progress, with the time left estimated from the rate so far."""

    def __init__(self, stage: str, report: ProgressCallback) -> None:
        self._stage, self._report = stage, report
        self._first: tuple[int, float] | None = None

    def __call__(self, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
        """Report that `done` of `total` are done."""
        now = time.monotonic()
        first, began = self._first = self._first or (done, now)
        left = (now - began) / (done - first) * (total - done) if done > first else None
        self._report(Progress(self._stage, done, total, left, metrics))
