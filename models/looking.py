"""A closer look at what a network is unsure of: parts of the photo, larger, beside the whole of it.

An animal that is small in a large scene covers a few pixels of what the network sees at first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import islice, product

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Logs = npt.NDArray[np.float64]
Weights = tuple[float, float, float]  # of the whole, of its parts, of the clearest of them

PARTS = 5
UNSURE = 0.97
"""The highest probability, 0 to 1, under which training lets a photo be looked at again."""

NEITHER_BELOW = 0.9
"""The probability of `neither` from which a photo is left at that: much of what is neither is not quite sure
of it, and a closer look finds only few animals there. It can only keep photos out of folders."""

GROUP = 8
"""Photos whose parts go through the network together."""
AHEAD = 32
"""Photos that may be decoded and wait for the network: 12 MB at 358 x 358 pixels."""

_LEAST = 1e-6
_GRIDS = (np.linspace(0.0, 2.0, 11), np.linspace(-0.2, 0.2, 9), np.linspace(-0.04, 0.04, 9))
"""Weights that are tried, then steps around the best of them. What a look weighs decides which strangers come
near to the threshold, so that a step of 0.1 would be too coarse."""


@dataclass(frozen=True, slots=True)
class CloserLook:
    """When to look closer, and what that weighs; fitted at training, kept in the bundle."""

    below: float  # highest probability, 0 to 1, under which a photo is unsure
    zoom: float  # how much larger, 1 or more, the parts are seen than at first
    whole: float  # weight of the log probabilities of the whole photo
    parts: float  # weight of those of its parts, their mean
    clearest: float = 0.0  # weight of those of its clearest part
    neither_below: float = NEITHER_BELOW  # probability of `neither` from which there is no closer look

    def side(self, size: int) -> int:
        """Return the pixels that the side of a photo is decoded to, for a network that sees `size`."""
        return round(size * self.zoom)


def parts(photo: Images, size: int) -> Images:
    """Cut the four corners and the middle, uint8 (PARTS, size, size, 3), out of a photo (side, side, 3)."""
    far = photo.shape[0] - size
    places = ((0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2))
    return np.stack([photo[top : top + size, left : left + size] for top, left in places])


def combined(
    whole: Probabilities, of_parts: Probabilities, look: CloserLook, neither: int | None = None
) -> Probabilities:
    """Weigh the probabilities of photos (n, k) with those of their parts (n, PARTS, k); rows sum to 1."""
    seen = _evidence(whole, of_parts, neither)
    return _weighted(seen, (look.whole, look.parts, look.clearest)).astype(np.float32)


def _evidence(whole: Probabilities, of_parts: Probabilities, neither: int | None) -> list[Logs]:
    """Return log probabilities (n, k) of the whole, of all parts on average, and of the clearest part.

    An animal that is small in its scene is in one part, where the others show none; so the clearest is the
    one least likely to show `neither`, or, where there is no such label, the surest.
    """
    of_parts = np.asarray(of_parts)
    unclear = -of_parts.max(axis=2) if neither is None else of_parts[..., neither]
    clearest = of_parts[np.arange(len(of_parts)), unclear.argmin(axis=1)]
    return [_logs(whole), _logs(of_parts).mean(axis=1), _logs(clearest)]


Predict = Callable[[Images], Probabilities]
Load = Callable[[int, int], Images | None]
"""`load(i, side)` decodes photo i to uint8 (side, side, 3), or gives None, which leaves its row as it is."""


def answer(
    predict: Predict,
    photos: Images,
    look: CloserLook,
    load: Load,
    pool: Executor | None = None,
    neither: int | None = None,
    first: Predict | None = None,
) -> Probabilities:
    """Return probabilities (n, k) of photos, uint8 (n, size, size, 3), unsure ones looked at more closely.

    With a `pool`, what is unsure is decoded again by it, some photos while the network looks at others;
    without one, by the caller, when it is needed. `neither` is the column of strangers, if there is one.
    `first` takes the place of `predict` for the first look.
    """
    # All at once: at the end of each call of the network, some cores have nothing to do.
    seen = (first or predict)(photos)
    return look_closer(predict, seen, look, photos.shape[1], load, pool, neither)


def look_closer(
    predict: Predict,
    probabilities: Probabilities,
    look: CloserLook,
    size: int,
    load: Load,
    pool: Executor | None = None,
    neither: int | None = None,
) -> Probabilities:
    """Return probabilities (n, k) in which unsure rows have been replaced by what a closer look gives."""
    looks = Looks(predict, look, size, load, pool, neither)
    looks.note(doubtful(probabilities, look, neither))
    return looks.improve(probabilities.copy())


class Looks:
    """The closer looks at one batch; no more than AHEAD photos are decoded and wait at a time."""

    def __init__(
        self,
        predict: Predict,
        look: CloserLook,
        size: int,
        load: Load,
        pool: Executor | None,
        neither: int | None,
    ) -> None:
        self._predict, self._look, self._size, self._load, self._pool = predict, look, size, load, pool
        self._neither = neither
        self._waiting: deque[int] = deque()
        self._flying: deque[tuple[int, Callable[[], Images | None]]] = deque()

    def note(self, rows: Iterable[int]) -> None:
        """Have these photos decoded, as far as there is room."""
        self._waiting.extend(rows)
        self._send()

    def improve(self, probabilities: Probabilities) -> Probabilities:
        """Put better rows in the place of those that were noted, and return all."""
        photos = self._photos()
        while group := list(islice(photos, GROUP)):
            rows = [row for row, _ in group]
            seen = self._predict(np.concatenate([parts(photo, self._size) for _, photo in group]))
            seen = seen.reshape(len(rows), PARTS, -1)
            probabilities[rows] = combined(probabilities[rows], seen, self._look, self._neither)
        return probabilities

    def _photos(self) -> Iterator[tuple[int, Images]]:
        while self._flying:
            row, photo = self._flying.popleft()
            decoded = photo()
            self._send()
            if decoded is not None:
                yield row, decoded

    def _send(self) -> None:
        side = self._look.side(self._size)
        while self._waiting and len(self._flying) < AHEAD:
            row = self._waiting.popleft()
            later = self._pool.submit(self._load, row, side).result if self._pool else None
            self._flying.append((row, later or partial(self._load, row, side)))


def doubtful(probabilities: Probabilities, look: CloserLook, neither: int | None) -> list[int]:
    """Return the rows that are worth a closer look."""
    rows = unsure(probabilities, look.below)
    return rows if neither is None else [i for i in rows if probabilities[i, neither] < look.neither_below]


def unsure(probabilities: Probabilities, below: float) -> list[int]:
    """Return the rows whose highest probability is under `below`."""
    return np.flatnonzero(probabilities.max(axis=1) < below).tolist() if len(probabilities) else []


def fit(
    whole: Probabilities,
    of_parts: Probabilities,
    targets: npt.NDArray[np.floating],
    below: float,
    zoom: float,
    neither: int | None = None,
) -> CloserLook | None:
    """Find the weights of least log loss on unsure photos that training has not seen (n of them).

    A row of `targets` (n, k) has, at the photo's label, how much the photo counts. None where a closer look
    is not worth its time: with fewer than 50 photos, which prove nothing, and where the parts would have no
    weight.
    """
    if len(targets) < _FEWEST:
        return None
    seen = _evidence(whole, of_parts, neither)

    def loss(weights: Weights) -> float:
        return -float((targets * np.log(np.maximum(_weighted(seen, weights), _LEAST))).sum())

    best = (0.0, 0.0, 0.0)
    for steps in _GRIDS:
        best = min((_moved(best, move) for move in product(steps.tolist(), repeat=3)), key=loss)
    return CloserLook(below, zoom, *best) if any(best[1:]) else None


def _moved(weights: Weights, move: Weights) -> Weights:
    whole, parts, clearest = (round(max(0.0, w + m), 3) for w, m in zip(weights, move, strict=True))
    return whole, parts, clearest


_FEWEST = 50


def _logs(probabilities: npt.NDArray[np.floating]) -> Logs:
    result: Logs = np.log(np.maximum(probabilities, _LEAST), dtype=np.float64)
    return result


def _weighted(evidence: Sequence[Logs], weights: Weights) -> npt.NDArray[np.float64]:
    values = sum(weight * logs for weight, logs in zip(weights, evidence, strict=True))
    powers = np.exp(values - np.max(values, axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result
