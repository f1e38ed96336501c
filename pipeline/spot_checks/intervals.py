"""Exact binomial intervals for weighted answers, by the incomplete beta function. Pure.

Clopper and Pearson (Biometrika 26, 1934) with the effective number of answers in place of their number, as
Korn and Graubard (Survey Methodology 24, 1998) have it for weighted samples; the National Center for Health
Statistics uses it for shares near 0 and 1 (Vital and Health Statistics 2(175), 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_MOST_TERMS = 10_000
_TINY = 1e-300
_HALVINGS = 60


def effective_count(weights: Sequence[float], right: Sequence[bool]) -> float:
    """Return how many answers of equal weight tell as much as these, which are `right` or wrong.

    That is (sum w)^2 / sum w^2 (Kish 1965), or less where wrong answers have large weights: the number for
    which p (1 - p) / n is the variance of the weighted share p by linearisation.
    """
    total = math.fsum(weights)
    squares = math.fsum(weight * weight for weight in weights)
    if not squares:
        return 0.0
    share = math.fsum(weight for weight, is_right in zip(weights, right, strict=True) if is_right) / total
    spread = math.fsum((w * (is_right - share)) ** 2 for w, is_right in zip(weights, right, strict=True))
    by_weights = total * total / squares
    return min(by_weights, share * (1 - share) * total * total / spread) if spread else by_weights


def interval(right: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Return the two-sided interval for a share, `right` of `count` (which need not be whole numbers).

    (0, 1) without a count.
    """
    tail = (1 - level) / 2
    return lower_bound(right, count, 1 - tail), 1 - lower_bound(count - right, count, 1 - tail)


def lower_bound(right: float, count: float, level: float) -> float:
    """Return the one-sided lower bound of a share, at a confidence `level` of 0 to 1."""
    if count <= 0 or right <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if beta_cdf(middle, right, count - right + 1) > 1 - level:
            high = middle
        else:
            low = middle
    return low


def is_proven(right: float, count: float, target: float, level: float) -> bool:
    """Return whether `right` of `count` proves a share of `target` at a one-sided confidence `level`."""
    if count <= 0 or right < target * count:
        return False
    return beta_cdf(target, right, count - right + 1) <= 1 - level


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for `a` and `b` above 0.

    By its continued fraction (Press et al., Numerical Recipes, section 6.4).
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    log_factor = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_factor) * _fraction(x, a, b) / a
    return 1 - math.exp(log_factor) * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction by Lentz's method."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            step = d * c
            value *= step
        if abs(step - 1) < 1e-13:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
