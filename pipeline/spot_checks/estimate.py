"""Estimate the precision of filed photos from answered spot checks. Pure.

A photo may be drawn at any draw after it arrived, which makes its chance of having been drawn. Its weight
is one over that chance (Horvitz and Thompson 1952), and shares are ratios of sums of weights (Hajek
1971). Photos that people judged without a spot check are no random sample: those judged before a draw could
reach them are counted one by one beside the estimate, the others belong to what was drawn from.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from db.queries.spot_checks import Drawn, Known
from pipeline.spot_checks import intervals
from pipeline.spot_checks.strata import AGES, name_of

LEVEL = 0.95
"""Confidence of the two-sided intervals."""

PROOF = 0.9
"""One-sided confidence of a proven promise, as `models.calibration.BOUND`."""

_LEAST_MISSED = 1e-12
_MOST_NEEDED = 1_000_000


@dataclass(frozen=True, slots=True)
class Weighted:
    """A photo that was drawn, and how many photos it stands for; `answer_weight` is 0 without an answer.

    `answer_weight` is larger than `weight` by the share of its draw that was answered.
    """

    photo: Drawn
    weight: float
    answer_weight: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The share of filed photos that are right, and its 95% interval; precision None without an answer."""

    precision: float | None
    low: float
    high: float
    answered: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of some photos: `right` of `count` judged one by one, and answers that stand for `frame`.

    `share` is the weighted share of right answers, `effective` their effective number.
    """

    right: int
    count: int
    frame: float
    share: float
    effective: float
    answered: int

    def estimate(self) -> Estimate:
        """Return the precision of these photos with its interval."""
        if not self.answered:
            return Estimate(None, 0.0, 1.0, 0)
        low, high = intervals.interval(self.share * self.effective, self.effective, LEVEL)
        return Estimate(self._of_all(self.share), self._of_all(low), self._of_all(high), self.answered)

    def is_proven(self, promise: float) -> bool:
        """Return whether the answers prove a precision of `promise`, at a one-sided confidence of PROOF."""
        return self._is_proven(promise, 0)

    def needed(self, promise: float) -> int | None:
        """Return how many more right answers would prove `promise`, 0 if it is proven; None if none would."""
        if promise >= 1:
            return None
        low, high = -1, _MOST_NEEDED
        if not self._is_proven(promise, high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_proven(promise, middle) else (middle, high)
        return high

    def _is_proven(self, promise: float, more: int) -> bool:
        # Later answers tell as much, each, as those until now.
        added = more * (self.effective / self.answered if self.answered else 1.0)
        right, count = self.share * self.effective + added, self.effective + added
        if right < promise * count:
            return False
        return self._of_all(intervals.lower_bound(right, count, PROOF)) >= promise

    def _of_all(self, share: float) -> float:
        known = self.count + self.frame
        return (self.right + self.frame * share) / known if known else share


def weighted(drawn: Sequence[Drawn]) -> list[Weighted]:
    """Return the photos that were drawn with their weights over all draws."""
    missed = _Missed(drawn)
    rates = _answered_rates(drawn)
    found = []
    for photo in drawn:
        weight = 1 / missed.chance_of_drawing(photo.outcome, photo.seen_at)
        answered = photo.label is not None
        found.append(Weighted(photo, weight, weight / rates[photo.drawn_at] if answered else 0.0))
    return found


def not_drawable(known: Iterable[Known], drawn: Sequence[Drawn]) -> list[Known]:
    """Return the judged photos that no draw could reach, because they were judged before the next one."""
    draws = sorted({photo.drawn_at for photo in drawn})

    def first_draw(seen_at: datetime) -> datetime | None:
        place = bisect_left(draws, seen_at)
        return draws[place] if place < len(draws) else None

    return [
        photo
        for photo in known
        if (first := first_draw(photo.seen_at)) is None
        or photo.reviewed_at is None
        or photo.reviewed_at <= first
    ]


def sample_of(
    photos: Iterable[Weighted],
    known: Iterable[Known],
    wanted: Callable[[Drawn | Known], bool] = lambda _: True,
) -> Sample:
    """Summarise the photos that are `wanted`."""
    photos = [each for each in photos if wanted(each.photo)]
    judged = [each.right for each in known if wanted(each)]
    answered = [each for each in photos if each.answer_weight]
    weights = [each.answer_weight for each in answered]
    are_right = [each.photo.right for each in answered]
    right = math.fsum(each.answer_weight for each in answered if each.photo.right)
    return Sample(
        right=sum(judged),
        count=len(judged),
        frame=math.fsum(each.weight for each in photos),
        share=min(1.0, right / math.fsum(weights)) if weights else 0.0,
        effective=min(float(len(weights)), intervals.effective_count(weights, are_right)),
        answered=len(weights),
    )


def _answered_rates(drawn: Sequence[Drawn]) -> dict[datetime, float]:
    """Return for each draw the share that was answered; photos are asked in random order."""
    counts: dict[datetime, list[int]] = {}
    for photo in drawn:
        count = counts.setdefault(photo.drawn_at, [0, 0])
        count[0] += photo.label is not None
        count[1] += 1
    return {draw: answered / all_ for draw, (answered, all_) in counts.items()}


class _Missed:
    """The chance that a photo was missed by all draws, by sums of logarithms over the draws."""

    def __init__(self, drawn: Sequence[Drawn]) -> None:
        weights = {(photo.drawn_at, photo.stratum): photo.weight for photo in drawn}
        self._draws = sorted({draw for draw, _ in weights})
        strata = {(photo.outcome, age): name_of(photo.outcome, age) for photo in drawn for age in AGES}
        self._sums: Mapping[str, list[float]] = {
            stratum: list(
                accumulate((_log_missed(weights.get((d, stratum))) for d in self._draws), initial=0.0)
            )
            for stratum in strata.values()
        }

    def chance_of_drawing(self, outcome: str, seen_at: datetime) -> float:
        """Return the chance that a photo of a folder was drawn, above 0 for each that was."""
        total = 0.0
        for age in AGES:
            sums = self._sums[name_of(outcome, age)]
            first = bisect_left(self._draws, seen_at + age.least)
            last = len(self._draws) if age.most is None else bisect_left(self._draws, seen_at + age.most)
            total += sums[max(first, last)] - sums[first]
        return max(-math.expm1(total), _LEAST_MISSED)


def _log_missed(weight: float | None) -> float:
    return 0.0 if weight is None else math.log(max(1 - 1 / weight, _LEAST_MISSED))
