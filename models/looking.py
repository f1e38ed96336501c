"""A closer look at what a network is unsure of: parts of the photo, larger, beside the whole of it.

An animal that is small in a large scene covers a few pixels of what the network sees at first. Little is
unsure, so looking closer costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]

PARTS = 5
UNSURE = 0.97
"""The highest probability, 0 to 1, under which training lets a photo be looked at again."""

_LEAST = 1e-6
_WEIGHTS = np.linspace(0.0, 2.0, 41)


@dataclass(frozen=True, slots=True)
class CloserLook:
    """When to look closer, and what that weighs; fitted at training, kept in the bundle."""

    below: float  # highest probability, 0 to 1, under which a photo is unsure
    zoom: float  # how much larger, 1 or more, the parts are seen than at first
    whole: float  # weight of the log probabilities of the whole photo
    parts: float  # weight of those of its parts, their mean

    def side(self, size: int) -> int:
        """Return the pixels that the side of a photo is decoded to, for a network that sees `size`."""
        return round(size * self.zoom)


def parts(photo: Images, size: int) -> Images:
    """Cut the four corners and the middle, uint8 (PARTS, size, size, 3), out of a photo (side, side, 3)."""
    far = photo.shape[0] - size
    places = ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2))
    return np.stack([photo[top : top + size, left : left + size] for top, left in places])


def combined(whole: Probabilities, of_parts: Probabilities, look: CloserLook) -> Probabilities:
    """Weigh the probabilities of photos (n, k) with those of their parts (n, PARTS, k); rows sum to 1."""
    return _weighted(_logs(whole), _logs(of_parts).mean(axis=1), look.whole, look.parts).astype(np.float32)


def look_closer(
    predict: Callable[[Images], Probabilities],
    probabilities: Probabilities,
    look: CloserLook,
    size: int,
    load: Callable[[int, int], Images | None],
) -> Probabilities:
    """Return probabilities (n, k) in which unsure rows have been replaced by what a closer look gives.

    `load(i, side)` decodes photo i again, to uint8 (side, side, 3), or gives None, which leaves its row as it
    is. A photo at a time, so that memory does not depend on how many are unsure.
    """
    result = probabilities.copy()
    for index in unsure(probabilities, look.below):
        photo = load(index, look.side(size))
        if photo is not None:
            seen = predict(parts(photo, size))
            result[index] = combined(probabilities[index, None], seen[None], look)[0]
    return result


def unsure(probabilities: Probabilities, below: float) -> list[int]:
    """Return the rows whose highest probability is under `below`."""
    return np.flatnonzero(probabilities.max(axis=1) < below).tolist() if len(probabilities) else []


def fit(
    whole: Probabilities, of_parts: Probabilities, labels: Sequence[int], below: float, zoom: float
) -> CloserLook:
    """Find the weights of least log loss on unsure photos that training has not seen (n of them).

    With fewer than 50 photos, the closer look is left without weight.
    """
    if len(labels) < _FEWEST:
        return CloserLook(below, zoom, 1.0, 0.0)
    rows, truth = np.arange(len(labels)), np.asarray(labels)
    first, second = _logs(whole), _logs(of_parts).mean(axis=1)

    def loss(weights: tuple[float, float]) -> float:
        right = _weighted(first, second, *weights)[rows, truth]
        return float(-np.log(np.maximum(right, _LEAST)).mean())

    best = min(((float(a), float(b)) for a in _WEIGHTS for b in _WEIGHTS), key=loss)
    return CloserLook(below, zoom, *best)


_FEWEST = 50


def _logs(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = np.log(np.maximum(probabilities, _LEAST), dtype=np.float64)
    return result


def _weighted(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], a: float, b: float
) -> npt.NDArray[np.float64]:
    values = a * first + b * second
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result
