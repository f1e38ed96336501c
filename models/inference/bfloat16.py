"""A quick first answer in 16 bits, which stands where nothing hangs on its last digits.

A photo that bfloat16 is plainly sure of comes to the same decision in float32. One that is near to where
decisions change is answered once more, in float32, before anybody sees an answer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Predict = Callable[[Images], Probabilities]

MARGIN = 1.25
"""How far beyond a boundary a sketch must be to stand, in log odds; `proving` counts what that leaves."""

WORTH = 0.4
"""The share of photos from which answering again costs more than sketches spare."""

_ASKED = 512  # photos before that share is believed
_LEAST = 1e-6


def decision_thresholds(bundle: Bundle, threshold: float) -> Probabilities:
    """Return for each label the probability (k,) at which, if it is the likeliest, a decision changes.

    `threshold` is the confidence from which photos are filed.
    """
    look, result = bundle.closer_look, np.full(len(bundle.labels), 0.5, np.float32)
    result[list(bundle.with_folder)] = max(0.5, threshold)
    if look is not None:
        result = np.maximum(result, np.float32(look.below))
        if bundle.neither is not None:
            result[bundle.neither] = max(0.5, min(look.below, look.neither_below))
    return result


def near(sketch: Probabilities, bounds: Probabilities) -> npt.NDArray[np.intp]:
    """Return the rows of a sketch (n, k) that are not MARGIN beyond the boundary of their likeliest label."""
    likeliest = sketch.argmax(axis=1)
    return np.flatnonzero(~(_log_odds(sketch.max(axis=1)) >= _log_odds(bounds[likeliest]) + MARGIN))


class TwoPrecisionPredictor:
    """Answer by `sketch` what is plain; gives up where too much has to be answered again to gain by it."""

    def __init__(self, sketch: Predict, bounds: Probabilities) -> None:
        self.asked = self.again = 0
        self._sketch, self._bounds = sketch, bounds

    def answer(self, predict: Predict, images: Images) -> Probabilities:
        """Return probabilities (n, k), by `predict` where a decision is near."""
        if self.asked >= _ASKED and self.again > WORTH * self.asked:
            return predict(images)
        rows = self._sketch(images)
        again = near(rows, self._bounds)
        self.asked, self.again = self.asked + len(images), self.again + len(again)
        if len(again):
            rows[again] = predict(images[again])
        return rows


def _log_odds(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = np.clip(probabilities.astype(np.float64), _LEAST, 1 - _LEAST)
    result: npt.NDArray[np.float64] = np.log(values / (1 - values))
    return result
