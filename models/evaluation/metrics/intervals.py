"""95% intervals: Wilson's for shares, a seeded bootstrap for everything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import calibration
from models.evaluation.metrics.statistics import Statistic
from models.types import Float64

SEED = 20260101
LARGEST, LEAST = 1000, 200  # resamples; fewer where there are very many photos
_WORK = 40_000_000  # photos x resamples
_CHUNK = 1_000_000  # weights in memory at a time


@dataclass(frozen=True, slots=True)
class Share:
    """A figure from `count` cases with its 95% interval; value None where nothing was counted."""

    value: float | None
    low: float
    high: float
    count: int


def share(hits: npt.NDArray[np.bool_]) -> Share:
    """Return the share of True with Wilson's interval."""
    successes, count = int(hits.sum()), len(hits)
    low, high = calibration.wilson(successes, count)
    return Share(successes / count if count else None, low, high, count)


def value_of(statistic: Statistic, photos: int) -> float | None:
    """Return the figure itself: each photo counts once."""
    value = float(statistic(np.ones((1, photos)))[0]) if photos else math.nan
    return None if math.isnan(value) else value


def resample(statistics: Mapping[str, Statistic], photos: int, seed: int = SEED) -> dict[str, Float64]:
    """Return each statistic of the same resamples of the photos, drawn with replacement (Efron 1979).

    Same photos and seed, same answer. Between LEAST and LARGEST resamples, fewer for more photos; memory
    stays at a few megabytes.
    """
    if not photos:
        return {name: np.zeros(0) for name in statistics}
    rng = np.random.default_rng(seed)
    left = max(LEAST, min(LARGEST, _WORK // photos))
    parts: dict[str, list[Float64]] = {name: [] for name in statistics}
    while left > 0:
        rows = min(left, max(1, _CHUNK // photos))
        weights = _weights(rng, rows, photos)
        for name, statistic in statistics.items():
            parts[name].append(statistic(weights))
        left -= rows
    return {name: np.concatenate(values) for name, values in parts.items()}


def _weights(rng: np.random.Generator, rows: int, photos: int) -> Float64:
    drawn = rng.integers(photos, size=(rows, photos)) + photos * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * photos).reshape(rows, photos).astype(np.float64)


def spread(
    samples: Float64, value: float, bounds: tuple[float, float], *, centred: bool = False
) -> tuple[float, float]:
    """Return the middle 95% of resampled values, NaN left out, within `bounds`.

    `centred` moves them so that their median is the value: a calibration error is larger in resamples than in
    the photos themselves, because noise adds to it and never cancels.
    """
    kept = samples[~np.isnan(samples)]
    if not len(kept):
        return bounds
    if centred:
        kept = kept + (value - np.median(kept))
    low, high = np.clip(np.quantile(kept, [0.025, 0.975]), *bounds)
    return float(low), float(high)


def quantity(
    value: float | None, samples: Float64, count: int, bounds: tuple[float, float], *, centred: bool = False
) -> Share:
    """Return a figure with its bootstrap interval."""
    if value is None:
        return Share(None, *bounds, 0)
    low, high = spread(samples, value, bounds, centred=centred)
    return Share(value, min(low, value), max(high, value), count)


def names(prefix: str, parts: Sequence[str]) -> list[str]:
    """Return the flat names of a figure that there is one of for each part."""
    return [f"{prefix}/{part}" for part in parts]
