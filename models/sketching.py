"""A quick answer in 16 bits, which stands where nothing hangs on its last digits.

A photo that bfloat16 is plainly sure of comes to the same decision in float32. One that is near to where
decisions change is answered once more, in float32, before anybody sees an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.looking import Predict, Weigh

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]

MARGIN = 1.25
"""How far beyond a boundary a sketch must be to stand, in log odds. bfloat16 errs by 0.15 in the mean of
photos, and by more than this in a few of ten thousand."""

WORTH = 0.4
"""The share of photos from which answering again costs more than sketches spare."""

_ASKED = 512  # photos before that share is believed
_LEAST = 1e-6


def boundaries(bundle: Bundle, threshold: float) -> Probabilities:
    """Return for each label the probability (k,) at which, if it is the likeliest, a decision changes.

    `threshold` is the confidence from which photos are filed.
    """
    look, result = bundle.closer_look, settled(bundle, threshold)
    if look is not None:
        result = np.maximum(result, np.float32(look.below))
        if bundle.neither is not None:
            result[bundle.neither] = max(0.5, min(look.below, look.neither_below))
    return result


def settled(bundle: Bundle, threshold: float) -> Probabilities:
    """Return the same (k,) for photos that were looked at closely, after which no further look begins."""
    result = np.full(len(bundle.labels), 0.5, np.float32)
    result[list(bundle.with_folder)] = max(0.5, threshold)
    return result


def near(sketch: Probabilities, bounds: Probabilities) -> npt.NDArray[np.intp]:
    """Return the rows of a sketch (n, k) that are not MARGIN beyond the boundary of their likeliest label."""
    likeliest = sketch.argmax(axis=1)
    return np.flatnonzero(~(_log_odds(sketch.max(axis=1)) >= _log_odds(bounds[likeliest]) + MARGIN))


@dataclass(slots=True)
class _Tally:
    """How many photos were sketched, and how many of them had to be answered again."""

    asked: int = 0
    again: int = 0

    def add(self, asked: int, again: int) -> None:
        self.asked, self.again = self.asked + asked, self.again + again

    @property
    def is_worth_it(self) -> bool:
        return self.asked < _ASKED or self.again <= WORTH * self.asked


class Sketcher:
    """Answer by `sketch` what is plain; gives up where too much has to be answered again to gain by it.

    `bounds` (k,) are where decisions change at first sight, `settled` (k,) those after a closer look. First
    looks and closer ones are given up each by itself.
    """

    def __init__(self, sketch: Predict, bounds: Probabilities, settled: Probabilities) -> None:
        self._sketch, self._bounds, self._settled = sketch, bounds, settled
        self._first, self._close = _Tally(), _Tally()

    def answer(self, predict: Predict, images: Images) -> Probabilities:
        """Return probabilities (n, k), by `predict` where a decision is near."""
        if not self._first.is_worth_it:
            return predict(images)
        rows = self._sketch(images)
        again = near(rows, self._bounds)
        self._first.add(len(images), len(again))
        if len(again):
            rows[again] = predict(images[again])
        return rows

    def look(self, predict: Predict, whole: Probabilities, cut: Images, weigh: Weigh) -> Probabilities:
        """Return what a closer look gives (n, k), by `predict` where a decision is near.

        `whole` (n, k) is by `predict` already, since what is unsure is near where a look begins.
        """
        if not self._close.is_worth_it:
            return weigh(predict, whole, cut)
        rows = weigh(self._sketch, whole, cut)
        again = near(rows, self._settled)
        self._close.add(len(whole), len(again))
        if len(again):
            rows[again] = weigh(predict, whole[again], cut[again])
        return rows


def _log_odds(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    values = np.clip(probabilities.astype(np.float64), _LEAST, 1 - _LEAST)
    result: npt.NDArray[np.float64] = np.log(values / (1 - values))
    return result
