"""Compare two bundles on the same photos: differences with intervals, flips, and a test of significance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.errors import need
from models.evaluation.metrics import definitions, intervals
from models.evaluation.metrics.definitions import Quantity
from models.evaluation.metrics.figures import SCHEMA_VERSION, Evaluation
from models.evaluation.metrics.intervals import Share
from models.evaluation.metrics.predictions import Predictions

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of both, and A's less B's, with a 95% interval from paired resamples."""

    a: Share
    b: Share
    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Flip:
    """A photo that only one of them predicts right; `index` is its index among the photos."""

    index: int
    right: str  # a or b
    weight: float  # how far apart their probabilities of the truth are


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two bundles make of the same photos.

    A photo is right if the best label is the true one; of a photo of neither, for a bundle that has no such
    label, if it would be left unfiled. `p_value` is McNemar's exact test (McNemar 1947): how often chance
    alone would share the flips at least as unevenly, if both were equally good.
    """

    a: Evaluation
    b: Evaluation
    photos: int
    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    p_value: float
    verdict: str
    differences: dict[str, Difference]
    flips: list[Flip]

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the flips as plain values for JSON."""
        counts = ("photos", "both_right", "only_a_right", "only_b_right", "both_wrong", "p_value", "verdict")
        return {
            "schema_version": SCHEMA_VERSION,
            **{name: getattr(self, name) for name in counts},
            "differences": {name: asdict(difference) for name, difference in self.differences.items()},
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
        }


def contrast(a: Predictions, b: Predictions, of_a: Evaluation, of_b: Evaluation) -> Comparison:
    """Compare the answers of two bundles to the same photos in the same order. Raises PackageMissing."""
    right_a, right_b = a.well(of_a.at_threshold.threshold), b.well(of_b.at_threshold.threshold)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = mcnemar(only_a, only_b)
    return Comparison(
        a=of_a,
        b=of_b,
        photos=len(a),
        both_right=int((right_a & right_b).sum()),
        only_a_right=only_a,
        only_b_right=only_b,
        both_wrong=int((~right_a & ~right_b).sum()),
        p_value=p_value,
        verdict=verdict(names(of_a.bundle, of_b.bundle), only_a, only_b, p_value),
        differences=_differences(a, b, of_a, of_b),
        flips=_flips(a, b, right_a, right_b),
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's exact test. Raises PackageMissing without scipy."""
    need("scipy", "leave out --against")
    from scipy.stats import binomtest

    flips = only_a + only_b
    return float(binomtest(only_a, flips, 0.5).pvalue) if flips else 1.0


def names(a: str, b: str) -> tuple[str, str]:
    """Return distinct names for two bundles, also if they have the same name."""
    return (a, b) if a != b else (f"{a} (A)", f"{b} (B)")


def verdict(called: tuple[str, str], only_a: int, only_b: int, p_value: float) -> str:
    """Return the result of the test as a sentence."""
    a, b = called
    if only_a + only_b == 0:
        return f"{a} and {b} are right and wrong on the same photos: no difference is seen here."
    counts = f"{a} alone is right on {only_a:,} of the photos, {b} alone on {only_b:,}"
    chance = f"{100 * p_value:.2g}%" if p_value >= 1e-4 else "less than 0.01%"
    if p_value >= SIGNIFICANT:
        return (
            f"{counts}; of two equally good models, {chance} differ as much by chance, "
            "so these photos do not show which one is better."
        )
    better = a if only_a > only_b else b
    return (
        f"{counts}; of two equally good models, only {chance} differ as much by chance: {better} is better."
    )


def _differences(a: Predictions, b: Predictions, of_a: Evaluation, of_b: Evaluation) -> dict[str, Difference]:
    first, second = _all(a, of_a.at_threshold.threshold), _all(b, of_b.at_threshold.threshold)
    common = [
        name for name in first
        if name in second and None not in (of_a.measured[name].value, of_b.measured[name].value)
    ]  # fmt: skip
    samples = intervals.resample(
        {
            f"{side} {name}": part[name].statistic
            for side, part in (("a", first), ("b", second))
            for name in common
        },
        len(a),
    )
    result: dict[str, Difference] = {}
    for name in common:
        mine, theirs = of_a.measured[name], of_b.measured[name]
        value = (mine.value or 0.0) - (theirs.value or 0.0)
        most = first[name].bounds[1]
        low, high = intervals.spread(
            samples[f"a {name}"] - samples[f"b {name}"], value, (-most, most), centred=first[name].centred
        )
        result[name] = Difference(mine, theirs, value, low, high)
    return result


def _all(predictions: Predictions, threshold: float) -> Mapping[str, Quantity]:
    shares = definitions.shares(predictions, threshold)
    return {
        **{name: Quantity(tally.statistic, int(tally.among.sum())) for name, tally in shares.items()},
        **definitions.quantities(predictions),
    }


def _flips(a: Predictions, b: Predictions, right_a: np.ndarray, right_b: np.ndarray) -> list[Flip]:
    apart = np.abs(np.nan_to_num(a.true_probability) - np.nan_to_num(b.true_probability))
    chosen = np.flatnonzero(right_a != right_b)
    chosen = chosen[np.argsort(-apart[chosen], kind="stable")]
    return [Flip(int(i), "a" if right_a[i] else "b", round(float(apart[i]), 6)) for i in chosen]
