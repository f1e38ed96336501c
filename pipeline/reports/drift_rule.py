"""Decide from a figure of each day when it is out of line with the weeks before. Pure.

A figure of a day varies for two reasons: it is of a few photos, and days differ (weather, weekdays, who is at
home). So a day is judged by a random-effects model, as for meta-analyses (DerSimonian and Laird, 1986), but
robustly: the usual value is the weighted median of the last four weeks; the variance between days comes from
a quantile of the deviations, which needs fewer days than the MAD for the same accuracy; and twelve weeks of
deviations are used for it, each from the median of its own four weeks, because a spread needs more days than
a median. Where a weekday differs from the others by more than its own error, each day is compared with both,
and the smaller deviation counts.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, TypeAlias

BLOCK = 28
BLOCKS = 3
"""Days of the usual value, four weeks, and how many such blocks give the spread."""

RECENT = 3
"""Days with photos that are judged together; two must be out of line, so that one odd day is no alarm."""

REACH = 7
"""Calendar days among which the recent days are looked for."""

LEAST_DAYS, LEAST_PHOTOS, LEAST_SPAN = 7, 50, 20
"""Days with photos, photos, and days between the first and the last that a usual value needs: each weekday
must have come three times, or the first weekends would be out of line."""

LIMIT = 3.7
"""Standard errors from the usual value that are out of line; half as many from the new level end an alarm.

With the other constants it was chosen on simulated years, which `tests/support/simulated_year.py` makes.
"""

_OTHERS = 1.5
"""Standard errors by which the days without the farthest one are out of line too."""

LONGEST = 31
"""Days after which a new level is the usual one, and its alarm ends."""

_FULL = 50
"""Photos from which on a day has full weight in a median."""

_CAUTION = 14
"""Of so many days, the variance between days counts twice: few days may all have been alike."""

_BURST = 1.5
"""Photos come in bursts of one animal: so many tell as much as one that was taken independently."""

_QUANTILE, _NORMAL = 0.8, 1.2816
"""The quantile of absolute deviations that gives the spread, and its value for a standard normal variable."""

_MEDIAN_ERROR = math.pi / 2
"""Variance of a median, in that of a mean."""


class Sample(NamedTuple):
    """A figure of one day: its value, the number of photos (above 0), and the variance between photos."""

    value: float
    photos: int
    variance: float


Series: TypeAlias = Sequence[Sample | None]
"""A figure of consecutive calendar days; None for a day without photos."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The least change worth an alarm: in units of the figure, or `relative` to its usual value.

    `correlation`, 0 to 1, is that of the deviations of neighbouring days.
    """

    least: float
    relative: bool = False
    correlation: float = 0.2

    def change(self, center: float) -> float:
        """Return the least change from `center`."""
        return self.least * abs(center) if self.relative else self.least


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual: `center`, variances between days and between photos, variance of the center itself.

    `correlation` is that of neighbouring days; `offsets` are how much each weekday, the day's number modulo
    7, differs from the center.
    """

    center: float
    day_variance: float
    photo_variance: float
    center_variance: float
    correlation: float
    offsets: tuple[float, ...]

    def deviation(self, day: int, sample: Sample) -> float:
        """Return how far a day is from the center and from its weekday, whichever is nearer; 0 between."""
        return _nearer(sample.value - self.center, self.offsets[day % 7])

    def error(self, photos: int) -> float:
        """Return the standard error of a day with `photos`."""
        return math.sqrt(self.day_variance + self.photo_variance / photos + self.center_variance)


@dataclass(frozen=True, slots=True)
class Shift:
    """A figure that is out of line since a day, found on a later one; what was usual, and by how much."""

    since: int
    found: int
    usual: Usual
    change: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of a figure after a day; `usual` is None where too little is known."""

    usual: Usual | None
    shift: Shift | None


def follow(series: Series, rule: Rule) -> list[Reading]:
    """Return the state after each day. A day's state depends on it and the days before only."""
    tracker = _Tracker(series, rule)
    return [tracker.step(day) for day in range(len(series))]


class _Deviation(NamedTuple):
    """How far a day is from what is usual, its photos, and the variance between them.

    That is the mean of the usual one and the day's: a share varies more the nearer it is to a half.
    """

    value: float
    photos: int
    variance: float


class _Tracker:
    """Goes through the days; days of an alarm that has ended are left out of what is usual."""

    def __init__(self, series: Series, rule: Rule) -> None:
        self._series = series
        self._rule = rule
        self._shift: Shift | None = None
        self._left_out: set[int] = set()

    def step(self, day: int) -> Reading:
        if self._shift and day - self._shift.since >= LONGEST:
            self._shift = None
        recent = [i for i in range(max(0, day - REACH + 1), day + 1) if self._series[i]][-RECENT:]
        if self._series[day] is None or len(recent) < 2:
            return Reading(None, self._shift)
        if self._shift:
            self._end(self._shift, recent)
            return Reading(self._shift.usual if self._shift else None, self._shift)
        usual = self._usual(recent, certainly=day == len(self._series) - 1)
        if usual:
            self._shift = self._begun(usual, recent)
        return Reading(usual, self._shift)

    def _usual(self, recent: Sequence[int], certainly: bool) -> Usual | None:
        """Return what is usual; None also, unless `certainly`, where no day can be out of line."""
        before = (i for i in range(recent[0] - 1, -1, -1) if i not in self._left_out)
        days = [i for i, _ in zip(before, range(BLOCK * BLOCKS), strict=False)]
        if not certainly:
            center = _center([s for i in days[:BLOCK] if (s := self._series[i])])
            farthest = max(abs(s.value - center) for i in recent if (s := self._series[i]))
            if farthest < self._rule.change(center):
                return None
        return usual_of(self._series, days, self._rule.correlation)

    def _deviations(self, usual: Usual, days: Iterable[int]) -> list[_Deviation]:
        return [
            _Deviation(usual.deviation(i, s), s.photos, (usual.photo_variance + _BURST * s.variance) / 2)
            for i in days
            if (s := self._series[i])
        ]

    def _begun(self, usual: Usual, recent: Sequence[int]) -> Shift | None:
        least = self._rule.change(usual.center)
        for days in (recent[-2:], recent):
            deviations = self._deviations(usual, days)
            change, error = _pooled(deviations, usual)
            if abs(change) < max(least, LIMIT * error):
                continue
            # Without the day that is farthest in the direction of the change.
            rest = sorted(deviations, key=lambda each: each.value * min(each.photos, _FULL) / change)[:-1]
            other, error = _pooled(rest, usual)
            if other / change > 0 and abs(other) >= max(least / 2, _OTHERS * error):
                far = (i for i, each in zip(days, deviations, strict=True) if each.value / change >= 0.5)
                return Shift(next(far), days[-1], usual, change)
        return None

    def _end(self, shift: Shift, recent: Sequence[int]) -> None:
        deviations = self._deviations(shift.usual, (i for i in recent if i >= shift.since))
        change, error = _pooled(deviations, shift.usual)
        # As usual again, and certainly: a few photos may look so by chance.
        back = math.copysign(change, change * shift.change) < self._rule.change(shift.usual.center) / 2
        if back and abs(shift.change - change) >= LIMIT / 2 * error:
            self._left_out |= set(range(shift.since, recent[-1]))
            self._shift = None


def usual_of(series: Series, days: Sequence[int], correlation: float = 0.0) -> Usual | None:
    """Return what is usual by the numbers of earlier `days`, the latest first; None if they are too few."""
    blocks = [
        [(i, s) for i in days[start : start + BLOCK] if (s := series[i])]
        for start in range(0, BLOCK * BLOCKS, BLOCK)
    ]
    if not _is_enough(blocks[0]):
        return None
    found = [
        (i, sample.value - center, sample)
        for block in filter(_is_enough, blocks)
        for center in [_center([sample for _, sample in block])]
        for i, sample in block
    ]
    weights = [_weight(sample) for *_, sample in found]
    photo = _BURST * _quantile([sample.variance for *_, sample in found], weights)
    sampling = _quantile([photo / sample.photos for *_, sample in found], weights)
    day = _excess([own for _, own, _ in found], weights, sampling)
    offsets = tuple(
        _offset([(own, s) for i, own, s in found if i % 7 == weekday], day, photo) for weekday in range(7)
    )
    day = _excess([_nearer(own, offsets[i % 7]) for i, own, _ in found], weights, sampling)
    day *= 1 + _CAUTION / len(found)
    newest = [sample for _, sample in blocks[0]]
    error = _MEDIAN_ERROR * (1.5 * day / len(newest) + photo / sum(sample.photos for sample in newest))
    return Usual(_center(newest), day, photo, error, correlation, offsets)


def _is_enough(block: Sequence[tuple[int, Sample]]) -> bool:
    if len(block) < LEAST_DAYS or block[0][0] - block[-1][0] < LEAST_SPAN:
        return False
    return sum(sample.photos for _, sample in block) >= LEAST_PHOTOS


def _excess(deviations: Iterable[float], weights: Sequence[int], sampling: float) -> float:
    """Return the variance between days: what the deviations have beyond that of `sampling`."""
    spread = _quantile([abs(own) for own in deviations], weights, _QUANTILE) / _NORMAL
    return max(0.0, spread * spread - sampling)


def _offset(found: Sequence[tuple[float, Sample]], day: float, photo: float) -> float:
    """Return how much a weekday differs, less its standard error; 0 if that may be chance."""
    if len(found) < 3:
        return 0.0
    middle = _quantile([own for own, _ in found], [_weight(sample) for _, sample in found])
    variance = _MEDIAN_ERROR * sum(day + photo / sample.photos for _, sample in found)
    return math.copysign(max(0.0, abs(middle) - math.sqrt(variance) / len(found)), middle)


def _pooled(deviations: Sequence[_Deviation], usual: Usual) -> tuple[float, float]:
    """Return the weighted mean of the deviations of days, and its standard error."""
    tiny = 1e-12
    sampling = [each.variance / each.photos for each in deviations]
    raw = [1 / (usual.day_variance + variance + tiny) for variance in sampling]
    weights = [weight / sum(raw) for weight in raw]
    change = sum(weight * each.value for weight, each in zip(weights, deviations, strict=True))
    squares = sum(weight * weight for weight in weights)
    days = usual.day_variance * (usual.correlation + (1 - usual.correlation) * squares)
    photos = sum(weight * weight * variance for weight, variance in zip(weights, sampling, strict=True))
    return change, math.sqrt(days + photos + usual.center_variance + tiny)


def _nearer(deviation: float, offset: float) -> float:
    of_weekday = deviation - offset
    if deviation * of_weekday <= 0:
        return 0.0
    return min(deviation, of_weekday, key=abs)


def _center(samples: Sequence[Sample]) -> float:
    if not samples:
        return math.nan
    return _quantile([sample.value for sample in samples], [_weight(sample) for sample in samples])


def _weight(sample: Sample) -> int:
    return min(sample.photos, _FULL)


def _quantile(values: Sequence[float], weights: Sequence[int], share: float = 0.5) -> float:
    """Return the least value that, with the lower ones, has `share` of the weight."""
    ordered = sorted(zip(values, weights, strict=True))
    sums = list(accumulate(weight for _, weight in ordered))
    return ordered[bisect_left(sums, share * sums[-1])][0]
