"""bfloat16 first pass: quick predictions, repeated in float32 where a photo is near a decision threshold.

A photo whose bfloat16 prediction is far from every threshold gets the same decision in float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle
from models.types import Pixels, PredictFn, Probabilities

MARGIN = 1.25
"""Distance from a threshold, in log odds, from which a bfloat16 prediction is kept.

`models.training.bfloat16_check` counts the decisions that this margin misses."""

MOST_REPEATED = 0.4
"""The share of photos above which repeating them costs more than the first pass saves."""

_LEAST_PREDICTED = 512  # photos before that share is trusted
_LEAST = 1e-6


def decision_thresholds(bundle: Bundle, threshold: float) -> Probabilities:
    """Return for each label the probability (k,) at which, if it is the likeliest, the decision changes.

    `threshold` is the confidence from which photos are filed.
    """
    crop, result = bundle.multi_crop, np.full(len(bundle.labels), 0.5, np.float32)
    result[list(bundle.with_folder)] = max(0.5, threshold)
    if crop is not None:
        result = np.maximum(result, np.float32(crop.below))
        if bundle.neither is not None:
            result[bundle.neither] = max(0.5, min(crop.below, crop.neither_below))
    return result


def near_threshold(probabilities: Probabilities, thresholds: Probabilities) -> npt.NDArray[np.intp]:
    """Return the rows that are not MARGIN above the threshold of their likeliest label; NaN is near."""
    likeliest = probabilities.argmax(axis=1)
    kept = _log_odds(probabilities.max(axis=1)) >= _log_odds(thresholds[likeliest]) + MARGIN
    return np.flatnonzero(~kept)


class TwoPrecisionPredictor:
    """Predict in bfloat16 first; stops doing so where too many photos have to be repeated in float32."""

    def __init__(self, first_pass: PredictFn, thresholds: Probabilities) -> None:
        self.predicted = self.repeated = 0
        self._first_pass, self._thresholds = first_pass, thresholds

    def predict(self, exact: PredictFn, images: Pixels) -> Probabilities:
        """Return probabilities (n, k), by `exact` where a photo is near a decision threshold."""
        if self.predicted >= _LEAST_PREDICTED and self.repeated > MOST_REPEATED * self.predicted:
            return exact(images)
        rows = self._first_pass(images)
        near = near_threshold(rows, self._thresholds)
        self.predicted, self.repeated = self.predicted + len(images), self.repeated + len(near)
        if len(near):
            rows[near] = exact(images[near])
        return rows


def _log_odds(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = np.clip(probabilities.astype(np.float64), _LEAST, 1 - _LEAST)
    result: npt.NDArray[np.float64] = np.log(values / (1 - values))
    return result
