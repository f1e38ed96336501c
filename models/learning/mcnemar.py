"""McNemar's exact test, and an interval for the difference of two accuracies on the same photos."""

from __future__ import annotations

import math


def at_least(hits: int, flips: int, chance: float = 0.5) -> float:
    """Return the probability of at least so many heads in `flips` throws of a coin, fair by default."""
    if chance == 0.5:
        ways: int = sum(math.comb(flips, k) for k in range(hits, flips + 1))
        return ways / (1 << flips)
    if not 0 < chance < 1:
        return float(hits <= flips * chance)
    fewer = (_logarithm_of_ways(k, flips, chance) for k in range(hits))
    return max(0.0, 1 - math.fsum(map(math.exp, fewer)))


def _logarithm_of_ways(heads: int, flips: int, chance: float) -> float:
    """Return the logarithm of the probability of exactly so many heads."""
    ways = math.lgamma(flips + 1) - math.lgamma(heads + 1) - math.lgamma(flips - heads + 1)
    return ways + heads * math.log(chance) + (flips - heads) * math.log1p(-chance)


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
