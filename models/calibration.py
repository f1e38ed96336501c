"""Calibrate scores: temperature, thresholds for a target precision, intervals. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]

TARGETS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
BOUND = 0.9  # one-sided confidence that the target precision holds
_TEMPERATURES = (0.25, 10.0)


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Turn logits (n, k) into float64 probabilities (n, k), rows summing to 1."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: Floats = powers / powers.sum(axis=1, keepdims=True)
    return result


def log_loss(probabilities: Floats, labels: Labels) -> float:
    """Return the mean negative log of the true label's probability, clipped at 1e-7; nats."""
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(true, 1e-7, 1.0)).mean())


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Find the temperature, 0.25 to 10, of least log loss (Guo et al. 2017), by golden section."""
    low, high = (math.log(t) for t in _TEMPERATURES)
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _loss_at(left, logits, labels) < _loss_at(right, logits, labels):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def _loss_at(log_temperature: float, logits: Floats, labels: Labels) -> float:
    return log_loss(softmax(logits, math.exp(log_temperature)), labels)


def wilson(successes: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's interval (low, high) for a share, 95% by default; (0, 1) where nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    share, weight = successes / count, z * z / count
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    # Exactly 0 and 1 where the share is, which the sums miss by their rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    return low, 1.0 if successes == count else min(1.0, centre + reach)


def precision_proven(wrong: int, filed: int, target: float, bound: float = BOUND) -> bool:
    """Return whether `wrong` of `filed` proves a precision of `target` (exact binomial bound)."""
    if filed == 0 or wrong / filed > 1 - target:
        return False
    log_terms = [
        math.lgamma(filed + 1) - math.lgamma(k + 1) - math.lgamma(filed - k + 1)
        + (k * math.log(1 - target) if k else 0.0) + (filed - k) * math.log(target)
        for k in range(wrong + 1)
    ]  # fmt: skip
    return sum(map(math.exp, log_terms)) <= 1 - bound


Share = Annotated[float, Field(ge=0, le=1)]


class Threshold(BaseModel, strict=True, extra="forbid", frozen=True, allow_inf_nan=False):
    """An entry of the calibration table: the confidence that one precision takes, and its coverage."""

    target_precision: Share
    threshold: Share
    precision: Share  # of the filed calibration photos
    coverage: Share  # of the photos that have a folder, the share filed
    proven: bool  # whether the photos are enough to prove the precision at BOUND


def predictions(probabilities: Floats, with_folder: Sequence[int]) -> tuple[Labels, Floats, Flags]:
    """Return the best label with a folder, its probability, and whether no label beats it; (n,) each."""
    columns = np.asarray(with_folder)
    best = columns[probabilities[:, columns].argmax(axis=1)]
    return best, probabilities[:, columns].max(axis=1), probabilities.argmax(axis=1) == best


def thresholds(
    probabilities: Floats, labels: Labels, with_folder: Sequence[int], targets: Sequence[float] = TARGETS
) -> tuple[Threshold, ...]:
    """Find, for each target precision in ascending order, the least confidence to file at.

    A photo is filed if a label with a folder is the best of all and reaches the threshold; a filed photo of
    any other label, or of a label without a folder, counts as wrong. Thresholds never fall as targets rise,
    and the last entry, for a precision of 1, files only at probability 1.
    """
    best, confidence, eligible = predictions(probabilities, with_folder)
    right = best == labels
    has_folder = np.isin(labels, with_folder)
    entries: list[Threshold] = []
    floor = 0.0
    for target in sorted(targets):
        floor, proven = max((floor, False), _least_threshold(confidence[eligible], right[eligible], target))
        entries.append(_entry(target, floor, proven, confidence, right, eligible, has_folder))
    entries.append(_entry(1.0, 1.0, False, confidence, right, eligible, has_folder))
    return tuple(entries)


def _least_threshold(confidence: Floats, right: Flags, target: float) -> tuple[float, bool]:
    """Return the least confidence that proves the target, or, unproven, one above every mistake."""
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    wrong = np.cumsum(~right[order])
    last_of_ties = np.flatnonzero(np.append(falling[1:] < falling[:-1], True)[: len(falling)])
    for index in last_of_ties[::-1]:
        if precision_proven(int(wrong[index]), int(index) + 1, target):
            return float(falling[index]), True
    highest_mistake = float(confidence[~right].max(initial=0.0))
    return min(1.0, float(np.nextafter(highest_mistake, 2.0))), False


def least_filed(target: float) -> int:
    """Return how many filed photos without a mistake prove a precision of `target`, below 1."""
    return math.ceil(math.log(1 - BOUND) / math.log(target))


def unproven(table: Sequence[Threshold], photos: int, target: float) -> str | None:
    """Return a warning if the calibration does not prove a target precision, None if it does.

    `table` is the calibration table of a bundle, `photos` is how many photos calibrated it.
    """
    if target >= 1:
        return "No number of photos proves a promise of 100%: no photo is filed at it."
    entry = next((e for e in table if e.target_precision >= target), None)
    if entry and entry.proven:
        return None
    return (
        f"{photos:,} photos for calibration do not prove the promise of {target:.1%}: at least "
        f"{least_filed(target):,} filed ones without a mistake would (exact binomial bound, {BOUND:.0%}). "
        "The threshold is above every mistake seen, which proves nothing: use more photos or promise less."
    )


def _entry(
    target: float,
    threshold: float,
    proven: bool,
    confidence: Floats,
    right: Flags,
    eligible: Flags,
    has_folder: Flags,
) -> Threshold:
    filed = eligible & (confidence >= threshold)
    return Threshold(
        target_precision=target,
        threshold=threshold,
        precision=float(right[filed].mean()) if filed.any() else 1.0,
        coverage=float((filed & has_folder).sum() / max(int(has_folder.sum()), 1)),
        proven=proven,
    )
