"""Define figures as functions of weights, so that one definition gives both value and bootstrap interval.

A Statistic takes weights (b, n), each row a resample of n photos, and returns b values, NaN where undefined.
Weights of one give the figure itself. Work that does not depend on the weights, such as sorting, is done
once, when the statistic is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.types import Flags, Float64

Statistic = Callable[[Float64], Float64]

BINS = 15  # of the calibration error


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Statistic:
    """Return sum(w * numerator) / sum(w * denominator): a share, a mean, an F1."""
    both = np.stack([np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)], axis=1)

    def value(weights: Float64) -> Float64:
        sums = weights @ both
        return _divide(sums[:, 0], sums[:, 1])

    return value


def mean(statistics: Sequence[Statistic], empty: float = np.nan) -> Statistic:
    """Return the plain mean of several; a part without meaning counts as `empty`."""

    def value(weights: Float64) -> Float64:
        parts = np.stack([statistic(weights) for statistic in statistics])
        result: Float64 = np.where(np.isnan(parts), empty, parts).mean(axis=0)
        return result

    return value


def calibration_error(confidence: Float64, right: Flags, among: Flags) -> Statistic:
    """Return the expected calibration error (Naeini et al. 2015) over BINS bins of equal width."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.zeros((len(confidence), BINS))
    gaps[np.arange(len(confidence)), place] = (confidence - right) * among
    counted = among.astype(np.float64)
    return lambda weights: _divide(np.abs(weights @ gaps).sum(axis=1), weights @ counted)


def area_under_roc(scores: Float64, positive: Flags, negative: Flags) -> Statistic:
    """Return the chance that a positive scores above a negative, ties half (Mann and Whitney 1947)."""
    order, starts = _grouped(scores, positive | negative)

    def value(weights: Float64) -> Float64:
        ups = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
        downs = np.add.reduceat(weights[:, order] * negative[order], starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs / 2
        return _divide((ups * below).sum(axis=1), ups.sum(axis=1) * downs.sum(axis=1))

    return value if len(order) else _nothing


def average_precision(scores: Float64, positive: Flags, among: Flags) -> Statistic:
    """Return the mean precision over the recalls where it changes, without interpolation."""
    order, starts = _grouped(-scores, among)

    def value(weights: Float64) -> Float64:
        hits = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
        named = np.add.reduceat(weights[:, order], starts, axis=1)
        precision = _divide(np.cumsum(hits, axis=1), np.cumsum(named, axis=1), empty=0.0)
        return _divide((precision * hits).sum(axis=1), hits.sum(axis=1))

    return value if len(order) else _nothing


def area_under_risk_coverage(confidence: Float64, right: Flags, among: Flags) -> Statistic:
    """Return the mean share of wrong answers over all coverages (Geifman and El-Yaniv 2017).

    Among answers of one confidence, wrong ones are taken first: a tie counts against the model.
    """
    chosen = np.flatnonzero(among)
    order = chosen[np.lexsort((right[chosen], -confidence[chosen]))]
    wrong = ~right[order]

    def value(weights: Float64) -> Float64:
        taken = weights[:, order]
        risk = _divide(np.cumsum(taken * wrong, axis=1), np.cumsum(taken, axis=1), empty=0.0)
        return _divide((risk * taken).sum(axis=1), taken.sum(axis=1))

    return value if len(order) else _nothing


def fpr_at_tpr(scores: Float64, inside: Flags, outside: Flags, share: float = 0.95) -> Statistic:
    """Return the false positive rate where the true positive rate is `share`; low scores are positive.

    `inside` are the positives, `outside` the negatives. The bound is the positives' quantile, interpolated
    linearly as by numpy.quantile.
    """
    order = np.flatnonzero(inside)[np.argsort(scores[inside], kind="stable")]
    ranked, others = scores[order], np.flatnonzero(outside)

    def value(weights: Float64) -> Float64:
        sums = np.cumsum(weights[:, order], axis=1)
        place = np.maximum(sums[:, -1] - 1, 0) * share
        bounds = np.array([_quantile(ranked, row, at) for row, at in zip(sums, place, strict=True)])
        taken = weights[:, others]
        result = _divide((taken * (scores[others] <= bounds[:, None])).sum(axis=1), taken.sum(axis=1))
        return np.where(sums[:, -1] > 0, result, np.nan)

    return value if len(order) and len(others) else _nothing


def _quantile(ranked: Float64, sums: Float64, at: float) -> float:
    """Interpolate at place `at` of the multiset that has each of `ranked` as often as `sums` rises."""
    below, above = np.searchsorted(sums, [np.floor(at), np.ceil(at)], side="right")
    last = len(ranked) - 1
    low, high = ranked[min(below, last)], ranked[min(above, last)]
    return float(low + (high - low) * (at - np.floor(at)))


def _grouped(scores: Float64, among: Flags) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Return the indices in ascending order of score, and where each run of equal scores starts."""
    chosen = np.flatnonzero(among)
    order = chosen[np.argsort(scores[chosen], kind="stable")]
    ranked = scores[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] > ranked[:-1])[: len(order)])
    return order, starts


def _nothing(weights: Float64) -> Float64:
    return np.full(len(weights), np.nan)


def _divide(numerator: Float64, denominator: Float64, empty: float = np.nan) -> Float64:
    return np.divide(numerator, denominator, out=np.full_like(numerator, empty), where=denominator > 0)
