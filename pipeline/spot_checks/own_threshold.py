"""Find the threshold that one's own answered photos prove.

Which photos are a random sample of which: spot checks are one of the filed photos, with the weights of
`estimate`; photos judged before they could be drawn stand for themselves. Photos that were not filed are
reviewed by choice, easy ones perhaps first, so that the reviewed ones are no random sample. Those that
arrived before the last review, however, had their turn: each counts with its answer, and as wrong if it has
none. They stand for the later ones as well.

The threshold goes down from a start that depends on numbers alone, step by step while each step proves the
promise, and stops at the first that does not. Each step is a test at a one-sided confidence of 90%; in such a
fixed sequence the chance that any promise is not kept stays 10% (Angelopoulos et al., Learn then Test, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from db.queries import spot_checks
from db.queries.spot_checks import Doubted, Drawn, Known
from models.bundle.bundle import Bundle
from pipeline.spot_checks import intervals
from pipeline.spot_checks.estimate import PROOF, Weighted

STEPS = 100
"""Most thresholds that are tried."""

MOST_DOUBTED = 50_000
"""Photos below the threshold that are read, the most confident ones."""

_MOST_NEEDED = 1_000_000

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measured:
    """The own `threshold`, 0 to 1, None if the answers prove none; `needed` more would suffice, if right.

    `answered` counts the spot checks of the model that count, `reviewed` the photos of low confidence.
    """

    threshold: float | None
    answered: int
    reviewed: int
    needed: int | None


def measure(
    engine: Engine, bundle: Bundle, promise: float, photos: Sequence[Weighted], known: Sequence[Known]
) -> Measured:
    """Measure the own threshold of a model for a `promise`.

    From the `photos` that were drawn, those `known` beside, and the ones that were not filed. Raises
    DatabaseError.
    """
    own = [each for each in photos if each.photo.model_sha256 == bundle.sha256 and each.answer_weight]
    beside = [each for each in known if each.model_sha256 == bundle.sha256]
    doubted = spot_checks.doubted(engine, bundle.sha256, MOST_DOUBTED)
    confidence, weight, right = arrays(own, beside, doubted)
    filed = np.arange(len(confidence)) < len(own) + len(beside)
    threshold = own_threshold(confidence, weight, right, filed, promise)
    reviewed = sum(each.label is not None for each in doubted)
    needed = 0 if threshold is not None else _needed(weight[filed], right[filed], promise)
    return Measured(threshold, len(own), reviewed, needed)


def own_threshold(
    confidence: Floats, weight: Floats, right: Flags, filed: Flags, promise: float
) -> float | None:
    """Return the lowest confidence at which weighted answers prove `promise`, None if they prove it nowhere.

    All arrays are (n,): confidences 0 to 1, weights above 0, and whether a photo was `filed` when it was
    answered. The start is the highest confidence with filed answers enough to prove the promise despite one
    mistake, else the lowest of a filed one.
    """
    if promise >= 1 or not filed.any():
        return None
    order = np.argsort(-confidence, kind="stable")
    confidence, weight, right, filed = confidence[order], weight[order], right[order], filed[order]
    total, share = np.cumsum(weight), np.minimum(np.cumsum(weight * right) / np.cumsum(weight), 1.0)
    effective = _effective(weight, right, total, share)
    found = None
    for place in _steps(confidence, filed, effective, promise):
        count = float(effective[place])
        if not intervals.is_proven(float(share[place]) * count, count, promise, PROOF):
            break
        found = float(confidence[place])
    return found


def _effective(weight: Floats, right: Flags, total: Floats, share: Floats) -> Floats:
    """Return `intervals.effective_count` of the first 1, 2, ... answers."""
    squares, of_right = np.cumsum(weight**2), np.cumsum(weight**2 * right)
    by_weights = total**2 / squares
    spread = share**2 * squares + (1 - 2 * share) * of_right
    mixed = (share > 0) & (share < 1) & (spread > 0)
    by_answers = np.where(mixed, share * (1 - share) * total**2 / np.where(mixed, spread, 1.0), np.inf)
    effective: Floats = np.minimum(by_weights, by_answers)
    return effective


def _steps(confidence: Floats, filed: Flags, effective: Floats, promise: float) -> list[int]:
    """Return the places, in falling confidence, after which thresholds are tried, at most STEPS."""
    last_of_ties = np.flatnonzero(np.append(confidence[1:] < confidence[:-1], True))
    lowest_filed = int(np.flatnonzero(filed)[-1])
    enough = effective[last_of_ties] >= _least_with_one_mistake(promise)
    start = int(np.argmax(enough)) if enough.any() else len(last_of_ties)
    start = min(start, int(np.searchsorted(last_of_ties, lowest_filed)))
    steps = last_of_ties[start:]
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(STEPS, len(steps))).round().astype(int))
    return [int(step) for step in steps[chosen]]


def _least_with_one_mistake(promise: float) -> int:
    low, high = 1, _MOST_NEEDED
    while high - low > 1:
        middle = (low + high) // 2
        proven = intervals.is_proven(middle - 1, middle, promise, PROOF)
        low, high = (low, middle) if proven else (middle, high)
    return high


def arrays(
    own: Sequence[Weighted], beside: Sequence[Known], doubted: Sequence[Doubted]
) -> tuple[Floats, Floats, Flags]:
    """Return confidences, weights, and whether each photo is right: first the filed photos."""
    reviews = [each.reviewed_at for each in doubted if each.label is not None and each.reviewed_at]
    last = max(reviews, default=None)
    cohort = [each for each in doubted if last is not None and each.seen_at <= last]
    # Without any review, each photo counts as wrong: it stands for itself.
    counted = cohort or list(doubted)
    stands_for = len(doubted) / len(counted) if counted else 1.0
    filed: list[Drawn | Known] = [*(each.photo for each in own), *beside]
    confidence = [*(each.confidence or 0.0 for each in filed), *(each.confidence for each in counted)]
    weight = [*(each.answer_weight for each in own), *(1.0 for _ in beside), *(stands_for for _ in counted)]
    right = [*(each.right for each in filed), *(each.label == each.prediction for each in counted)]
    return np.array(confidence), np.array(weight), np.array(right, dtype=bool)


def _needed(weight: Floats, right: Flags, promise: float) -> int | None:
    """Return how many more right answers of filed photos would prove the promise; None if none would."""
    if promise >= 1:
        return None
    count = intervals.effective_count(weight.tolist(), right.tolist())
    good = count * float((weight * right).sum() / weight.sum()) if len(weight) else 0.0
    each = count / len(weight) if len(weight) else 1.0
    low, high = -1, _MOST_NEEDED
    while high - low > 1:
        middle = (low + high) // 2
        proven = intervals.is_proven(good + middle * each, count + middle * each, promise, PROOF)
        low, high = (low, middle) if proven else (middle, high)
    return high if high < _MOST_NEEDED else None
