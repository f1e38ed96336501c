"""McNemar's exact test, and an interval for the difference of two accuracies on the same photos."""

from __future__ import annotations

import math


def at_least(hits: int, flips: int) -> float:
    """Return the probability of at least so many heads in `flips` throws of a fair coin."""
    ways: int = sum(math.comb(flips, k) for k in range(hits, flips + 1))
    return ways / (1 << flips)


def two_sided(one: int, other: int) -> float:
    """Return the p-value of McNemar's exact test (McNemar 1947); 1 without flips."""
    flips = one + other
    return min(1.0, 2 * at_least(max(one, other), flips)) if flips else 1.0


def difference(gained: int, lost: int, photos: int) -> tuple[float, float, float]:
    """Return the difference of two accuracies on the same photos, and its 95% interval.

    Half a photo is added to each of the four counts, so that no flips prove nothing (Agresti and Min 2005).
    """
    if not photos:
        return 0.0, -1.0, 1.0
    more, less, count = gained + 0.5, lost + 0.5, photos + 2
    centre = (more - less) / count
    reach = 1.959964 * math.sqrt(more + less - (more - less) ** 2 / count) / count
    return (gained - lost) / photos, max(-1.0, centre - reach), min(1.0, centre + reach)
