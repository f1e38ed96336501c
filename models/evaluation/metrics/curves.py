"""Compute curves: ROC, precision and recall, calibration, risk and coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models import calibration
from models.evaluation.metrics.predictions import Predictions
from models.evaluation.metrics.statistics import BINS
from models.labels import NEITHER
from models.types import Flags, Float64

Kind = Literal["roc", "pr", "reliability", "risk_coverage"]

MOST_POINTS = 300  # of one curve; the figures are computed from all of them


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve.

    roc: x false positive rate, y true positive rate. pr: x recall, y precision. reliability: x mean
    confidence, y share right with its interval, count photos. risk_coverage: x share answered, y share of
    these that is wrong. `at` is the score from which on photos count.
    """

    x: float
    y: float
    at: float
    low: float | None = None
    high: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve; `of` is the label it is about, or "" for all."""

    kind: Kind
    of: str
    points: list[Point]


def curves(predictions: Predictions) -> list[Curve]:
    """Return every curve that can be drawn for these photos."""
    return [
        *_of_labels(predictions),
        *_roc_of_neither(predictions),
        _reliability(predictions),
        _risk_coverage(predictions),
    ]


def _of_labels(predictions: Predictions) -> Iterator[Curve]:
    known = predictions.known
    for index, name in enumerate(predictions.labels):
        scores, true = predictions.values[known, index], predictions.truth[known] == index
        if true.any():
            yield Curve("pr", name, _points(scores, true, _precision_recall))
            if not true.all():
                yield Curve("roc", name, _points(scores, true, _rates))


def _roc_of_neither(predictions: Predictions) -> Iterator[Curve]:
    """Yield the ROC of `neither` for a bundle that has no output for it."""
    outside = ~predictions.foldered
    if NEITHER not in predictions.labels and outside.any() and not outside.all():
        yield Curve("roc", NEITHER, _points(predictions.novelty, outside, _rates))


Rates = Callable[[Float64, Float64], tuple[Float64, Float64]]


def _points(scores: Float64, true: Flags, rates: Rates) -> list[Point]:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))  # ties are one step
    ups, downs = np.cumsum(true[order])[ends].astype(float), np.cumsum(~true[order])[ends].astype(float)
    x, y = rates(ups, downs)
    start = [Point(0.0, 0.0 if rates is _rates else float(y[0]), 1.0)]
    return start + [Point(float(x[i]), float(y[i]), float(ranked[ends][i])) for i in _thinned(len(x))]


def _rates(ups: Float64, downs: Float64) -> tuple[Float64, Float64]:
    return downs / max(downs[-1], 1.0), ups / max(ups[-1], 1.0)


def _precision_recall(ups: Float64, downs: Float64) -> tuple[Float64, Float64]:
    return ups / max(ups[-1], 1.0), ups / (ups + downs)


def _thinned(count: int) -> list[int]:
    """Return at most MOST_POINTS places, both ends kept, closer together where the best scores are."""
    if count <= MOST_POINTS:
        return list(range(count))
    return sorted({int(i) for i in (count - 1) * np.linspace(0, 1, MOST_POINTS) ** 2})


def _reliability(predictions: Predictions) -> Curve:
    known = predictions.known
    confidence, right = predictions.values[known].max(axis=1), predictions.right[known]
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    points = []
    for index in np.unique(place):
        inside = place == index
        hits, count = int(right[inside].sum()), int(inside.sum())
        low, high = calibration.wilson(hits, count)
        points.append(
            Point(float(confidence[inside].mean()), hits / count, float(index) / BINS, low, high, count)
        )
    return Curve("reliability", "", points)


def _risk_coverage(predictions: Predictions) -> Curve:
    known = predictions.known
    confidence, right = predictions.values[known].max(axis=1), predictions.right[known]
    order = np.lexsort((right, -confidence))
    taken = np.arange(1, len(order) + 1)
    risk = np.cumsum(~right[order]) / taken
    return Curve("risk_coverage", "", [
        Point(float(taken[i] / len(order)), float(risk[i]), float(confidence[order[i]]))
        for i in _thinned(len(order))
    ])  # fmt: skip
