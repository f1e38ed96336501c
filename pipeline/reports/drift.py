"""Compare the figures of a day with the weeks before: which are out of line, since when. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, TypeAlias

from db.queries.day_figures import DayFigures, Moments
from pipeline.reports.drift_rule import LIMIT, RECENT, Reading, Rule, Sample, Shift, follow

Measure: TypeAlias = Literal["uncertain", "confidence", "classes", "failed", "brightness", "size"]

HISTORY = 140
"""Days that an answer depends on: twelve weeks of usual days, an alarm, and some to spare."""

RULES: dict[Measure, Rule] = {
    "uncertain": Rule(0.06),
    "confidence": Rule(0.03),
    "classes": Rule(0.2, correlation=0.4),
    "failed": Rule(0.05),
    "brightness": Rule(0.18, relative=True, correlation=0.6),
    "size": Rule(0.5, correlation=0.5),
}
"""The least change of each figure that is worth an alarm; of sizes, in powers of two."""

_RAREST = 0.02
"""Shares nearer to 0 or 1 count as this one where their variance is estimated."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure of a day beside what is usual.

    `label` is the class of a figure of `classes`. `value` is of `photos`; None without any. From `low` to
    `high` it is in line; these and `usual` are None while too few days are known. `since`, `before` and `now`
    are of a shift, over `shifted` photos: the day it began, the value until then, and the mean since. Sizes
    are in megapixels, everything else is from 0 to 1. `models` are the models before and since, if others.
    """

    measure: Measure
    label: str | None
    photos: int
    value: float | None
    usual: float | None = None
    low: float | None = None
    high: float | None = None
    since: date | None = None
    before: float | None = None
    now: float | None = None
    shifted: int = 0
    models: tuple[str, str] | None = None


Day: TypeAlias = tuple[date, DayFigures]


def findings(days: Sequence[Day]) -> list[Finding]:
    """Return the figures of the last of consecutive `days`, judged by those before; HISTORY days suffice."""
    return [_finding(measure, label, days, sample_of) for measure, label, sample_of in _figures(days)]


def alarms(found: Sequence[Finding]) -> list[Finding]:
    """Return what is out of line; of the classes the one that changed most."""
    shifted = [finding for finding in found if finding.since]
    classes = [finding for finding in shifted if finding.measure == "classes"]
    most = max(classes, key=lambda finding: abs((finding.now or 0) - (finding.before or 0)), default=None)
    return [finding for finding in shifted if finding.measure != "classes" or finding is most]


_SampleOf: TypeAlias = Callable[[DayFigures], Sample | None]


def _figures(days: Sequence[Day]) -> Iterator[tuple[Measure, str | None, _SampleOf]]:
    yield "uncertain", None, lambda day: _share(day.uncertain, day.answered)
    yield "confidence", None, lambda day: _mean(day.confidence)
    for label in sorted({label for _, figures in days for label in figures.predictions}):
        yield "classes", label, _share_of(label)
    yield "failed", None, lambda day: _share(day.failed, day.failed + day.answered)
    yield "brightness", None, lambda day: _mean(day.brightness)
    yield "size", None, lambda day: _mean(day.size)


def _share_of(label: str) -> _SampleOf:
    return lambda day: _share(day.predictions.get(label, 0), day.answered)


def _share(part: int, whole: int) -> Sample | None:
    if not whole:
        return None
    likely = min(max(part / whole, _RAREST), 1 - _RAREST)
    return Sample(part / whole, whole, likely * (1 - likely))


def _mean(moments: Moments) -> Sample | None:
    return Sample(moments.mean, moments.values, moments.variance) if moments.values else None


def _finding(measure: Measure, label: str | None, days: Sequence[Day], sample_of: _SampleOf) -> Finding:
    series = [sample_of(figures) for _, figures in days]
    rule, last = RULES[measure], series[-1]
    reading = follow(series, rule)[-1]
    shown = _megapixels if measure == "size" else _bounded
    usual, low, high = _range(reading, rule, last, shown)
    value = shown(last.value) if last else None
    base = Finding(measure, label, last.photos if last else 0, value, usual, low, high)
    return _shifted(base, days, series, reading.shift, shown) if reading.shift else base


def _range(
    reading: Reading, rule: Rule, last: Sample | None, shown: Callable[[float], float]
) -> tuple[float | None, float | None, float | None]:
    usual = reading.usual
    if usual is None or last is None:
        return None, None, None
    # As many photos on each of the recent days, which are judged together.
    margin = max(rule.change(usual.center), LIMIT * usual.error(RECENT * last.photos))
    return shown(usual.center), shown(usual.center - margin), shown(usual.center + margin)


def _shifted(
    base: Finding,
    days: Sequence[Day],
    series: Sequence[Sample | None],
    shift: Shift,
    shown: Callable[[float], float],
) -> Finding:
    since = shift.since
    after = [sample for sample in series[since:] if sample]
    photos = sum(sample.photos for sample in after)
    now = math.fsum(sample.value * sample.photos for sample in after) / photos
    return replace(
        base,
        since=days[since][0],
        before=shown(shift.usual.center),
        now=shown(now),
        shifted=photos,
        models=_models(days, since),
    )


def _models(days: Sequence[Day], since: int) -> tuple[str, str] | None:
    """Return the models before and from the day `since`, if another one answers since about then."""
    before = next((f.model for _, f in reversed(days[: max(0, since - 1)]) if f.model), None)
    after = next((f.model for _, f in days[since:] if f.model), None)
    return (before, after) if before and after and before != after else None


def _megapixels(power: float) -> float:
    return math.exp2(power)


def _bounded(value: float) -> float:
    return min(max(value, 0.0), 1.0)
