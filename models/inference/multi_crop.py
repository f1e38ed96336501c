"""Multi-crop inference: photos of low confidence are decoded larger and predicted again in four crops.

An animal that is small in a large scene covers a few pixels of the network's first input. The crops'
predictions are combined with that of the whole photo.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import islice, product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from models.bundle.manifest import MultiCrop
from models.types import Pixels, PredictFn, Probabilities, TryLoadFn

T = TypeVar("T")
Logs = npt.NDArray[np.float64]
Weights = tuple[float, float, float]  # of the whole photo, of its crops' mean, of the strongest crop

CROPS = 4

LOW_CONFIDENCE = 0.97
"""The highest probability, 0 to 1, below which training lets a photo be predicted again in crops."""

GROUP = 8
"""Photos whose crops go through the network together."""

AHEAD = 32
"""Photos decoded ahead of the network at most: 12 MB at 358 x 358 pixels."""

_LEAST = 1e-6
_FEWEST = 50
_GRIDS = (np.linspace(0.0, 2.0, 11), np.linspace(-0.2, 0.2, 9), np.linspace(-0.04, 0.04, 9))
"""Weights to try, then steps around the best of them. The weights decide which unknown objects come near the
threshold, so that a step of 0.1 would be too coarse."""


def corner_crops(photo: Pixels, size: int) -> Pixels:
    """Cut the four corners, uint8 (CROPS, size, size, 3), out of a photo (side, side, 3).

    They overlap in the middle while `side` is less than twice `size`.
    """
    far = photo.shape[0] - size
    corners = ((0, 0), (0, far), (far, 0), (far, far))
    return np.stack([photo[top : top + size, left : left + size] for top, left in corners])


def combine(
    whole: Probabilities,
    crops: Iterable[Probabilities],
    weights: MultiCrop,
    neither: int | None = None,
) -> Probabilities:
    """Combine the probabilities of photos (n, k) with those of their crops, (m, k) for each; rows sum to 1.

    `m` may differ from photo to photo.
    """
    evidence = _evidence(whole, list(crops), neither)
    return _weighted(evidence, (weights.whole, weights.parts, weights.strongest)).astype(np.float32)


def _evidence(whole: Probabilities, crops: Sequence[Probabilities], neither: int | None) -> list[Logs]:
    """Return log probabilities (n, k) of the whole photo, of its crops' mean, and of the strongest crop.

    Each label has a strongest crop of its own. A small animal is in one crop while the others show none, so
    for `neither` the weakest crop counts. With two animals in different crops, both labels get evidence and
    neither of them wins.
    """
    strongest = np.stack([seen.max(axis=0) for seen in crops])
    if neither is not None:
        strongest[:, neither] = [seen[:, neither].min() for seen in crops]
    return [_logs(whole), np.stack([_logs(seen).mean(axis=0) for seen in crops]), _logs(strongest)]


def predictions(
    predict: PredictFn,
    probabilities: Probabilities,
    crop: MultiCrop,
    size: int,
    load: TryLoadFn,
    pool: Executor | None = None,
    neither: int | None = None,
) -> Iterator[tuple[int, Probabilities]]:
    """Yield each row of low confidence, and the probabilities (CROPS, k) of its crops.

    `probabilities` are those of whole photos at `size` pixels, `neither` is its column, if there is one. A
    photo that `load` cannot decode is left out. With a `pool`, photos are decoded by it while the network
    predicts others; without one, by the caller, one after the other.
    """
    photos = decoded(low_confidence(probabilities, crop, neither), crop.side(size), load, pool)
    while group := list(islice(photos, GROUP)):
        seen = predict(np.concatenate([corner_crops(photo, size) for _, photo in group]))
        yield from zip([row for row, _ in group], seen.reshape(len(group), CROPS, -1), strict=True)


def decoded(
    rows: Iterable[int], side: int, load: Callable[[int, int], T | None], pool: Executor | None
) -> Iterator[tuple[int, T]]:
    """Yield the rows of readable photos in order, and what `load` returns; AHEAD at most wait in the pool."""
    one_by_one = ((row, load(row, side)) for row in rows)
    for row, photo in _ahead(rows, side, load, pool) if pool else one_by_one:
        if photo is not None:
            yield row, photo


def _ahead(
    rows: Iterable[int], side: int, load: Callable[[int, int], T | None], pool: Executor
) -> Iterator[tuple[int, T | None]]:
    remaining = iter(rows)
    submitted = deque((row, pool.submit(load, row, side)) for row in islice(remaining, AHEAD))
    while submitted:
        row, photo = submitted.popleft()
        decoded = photo.result()
        submitted.extend((row, pool.submit(load, row, side)) for row in islice(remaining, 1))
        yield row, decoded


def low_confidence(probabilities: Probabilities, crop: MultiCrop, neither: int | None) -> list[int]:
    """Return the rows to predict again in crops."""
    rows = rows_below(probabilities, crop.below)
    return rows if neither is None else [i for i in rows if probabilities[i, neither] < crop.neither_below]


def rows_below(probabilities: Probabilities, below: float) -> list[int]:
    """Return the rows whose highest probability is under `below`."""
    return np.flatnonzero(probabilities.max(axis=1) < below).tolist() if len(probabilities) else []


def fit(
    whole: Probabilities,
    crops: Sequence[Probabilities],
    targets: npt.NDArray[np.floating],
    below: float,
    zoom: float,
    neither: int | None = None,
) -> MultiCrop | None:
    """Find the weights of least log loss on n low-confidence photos that did not train the network.

    A row of `targets` (n, k) has, at the photo's label, how much the photo counts. None where crops are not
    worth their time: with fewer than 50 photos, which prove nothing, and where crops would have no weight.
    """
    if len(targets) < _FEWEST:
        return None
    evidence = _evidence(whole, crops, neither)

    def loss(weights: Weights) -> float:
        return -float((targets * np.log(np.maximum(_weighted(evidence, weights), _LEAST))).sum())

    best = (0.0, 0.0, 0.0)
    for steps in _GRIDS:
        best = min((_moved(best, move) for move in product(steps.tolist(), repeat=3)), key=loss)
    if not any(best[1:]):
        return None
    return MultiCrop(below=below, zoom=zoom, whole=best[0], parts=best[1], strongest=best[2])


def _moved(weights: Weights, move: Weights) -> Weights:
    whole, mean, strongest = (round(max(0.0, w + m), 3) for w, m in zip(weights, move, strict=True))
    return whole, mean, strongest


def _logs(probabilities: npt.NDArray[np.floating]) -> Logs:
    result: Logs = np.log(np.maximum(probabilities, _LEAST), dtype=np.float64)
    return result


def _weighted(evidence: Sequence[Logs], weights: Weights) -> npt.NDArray[np.float64]:
    values = sum(weight * logs for weight, logs in zip(weights, evidence, strict=True))
    powers = np.exp(values - np.max(values, axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result
