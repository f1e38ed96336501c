"""A closer look at what a network is unsure of: parts of the photo, larger, beside the whole of it.

An animal that is small in a large scene covers a few pixels of what the network sees at first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import islice, product

import numpy as np
import numpy.typing as npt

from models.bundle.manifest import CloserLook

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]
Logs = npt.NDArray[np.float64]
Weights = tuple[float, float, float]  # of the whole, of its parts, of the strongest of them

PARTS = 4
UNSURE = 0.97
"""The highest probability, 0 to 1, under which training lets a photo be looked at again."""

GROUP = 8
"""Photos whose parts go through the network together."""
AHEAD = 32
"""Photos that may be decoded and wait for the network: 12 MB at 358 x 358 pixels."""

_LEAST = 1e-6
_GRIDS = (np.linspace(0.0, 2.0, 11), np.linspace(-0.2, 0.2, 9), np.linspace(-0.04, 0.04, 9))
"""Weights that are tried, then steps around the best of them. What a look weighs decides which strangers come
near to the threshold, so that a step of 0.1 would be too coarse."""


def parts(photo: Images, size: int) -> Images:
    """Cut the four corners, uint8 (PARTS, size, size, 3), out of a photo (side, side, 3).

    As long as `side` is less than twice `size`, they share its middle.
    """
    far = photo.shape[0] - size
    places = ((0, 0), (0, far), (far, 0), (far, far))
    return np.stack([photo[top : top + size, left : left + size] for top, left in places])


def combined(
    whole: Probabilities, of_parts: Probabilities, look: CloserLook, neither: int | None = None
) -> Probabilities:
    """Weigh the probabilities of photos (n, k) with those of their parts (n, PARTS, k); rows sum to 1."""
    seen = _evidence(whole, of_parts, neither)
    return _weighted(seen, (look.whole, look.parts, look.strongest)).astype(np.float32)


def _evidence(whole: Probabilities, of_parts: Probabilities, neither: int | None) -> list[Logs]:
    """Return log probabilities (n, k) of the whole, of its parts on average, and of the strongest of them.

    Each label has a strongest part of its own. An animal that is small in its scene is in one part, where the
    others show none; so of `neither` the weakest part counts. Two animals are in a part each, so that one
    speaks against the other, and neither of them wins.
    """
    of_parts = np.asarray(of_parts)
    strongest = of_parts.max(axis=1)
    if neither is not None:
        strongest[:, neither] = of_parts[..., neither].min(axis=1)
    return [_logs(whole), _logs(of_parts).mean(axis=1), _logs(strongest)]


Predict = Callable[[Images], Probabilities]
Load = Callable[[int, int], Images | None]
"""`load(i, side)` decodes photo i to uint8 (side, side, 3), or gives None, which leaves its row as it is."""


def look_closer(
    predict: Predict,
    probabilities: Probabilities,
    look: CloserLook,
    size: int,
    load: Load,
    pool: Executor | None = None,
    neither: int | None = None,
) -> Probabilities:
    """Return probabilities (n, k) in which unsure rows have been replaced by what a closer look gives.

    `probabilities` are those of photos seen at `size` pixels, `neither` is the column of strangers, if there
    is one. With a `pool`, photos are decoded by it while the network looks at others; without one, by the
    caller, one after the other.
    """
    result = probabilities.copy()
    photos = _decoded(doubtful(probabilities, look, neither), look.side(size), load, pool)
    while group := list(islice(photos, GROUP)):
        rows = [row for row, _ in group]
        seen = predict(np.concatenate([parts(photo, size) for _, photo in group]))
        seen = seen.reshape(len(rows), PARTS, -1)
        result[rows] = combined(result[rows], seen, look, neither)
    return result


def _decoded(
    rows: Iterable[int], side: int, load: Load, pool: Executor | None
) -> Iterator[tuple[int, Images]]:
    """Yield the photos that can be had, in order; a pool has no more than AHEAD of them ready or at work."""
    one_by_one = ((row, load(row, side)) for row in rows)
    for row, photo in _ahead(rows, side, load, pool) if pool else one_by_one:
        if photo is not None:
            yield row, photo


def _ahead(rows: Iterable[int], side: int, load: Load, pool: Executor) -> Iterator[tuple[int, Images | None]]:
    waiting = iter(rows)
    flying = deque((row, pool.submit(load, row, side)) for row in islice(waiting, AHEAD))
    while flying:
        row, photo = flying.popleft()
        decoded = photo.result()
        flying.extend((row, pool.submit(load, row, side)) for row in islice(waiting, 1))
        yield row, decoded


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
    if not any(best[1:]):
        return None
    return CloserLook(below=below, zoom=zoom, whole=best[0], parts=best[1], strongest=best[2])


def _moved(weights: Weights, move: Weights) -> Weights:
    whole, parts, strongest = (round(max(0.0, w + m), 3) for w, m in zip(weights, move, strict=True))
    return whole, parts, strongest


_FEWEST = 50


def _logs(probabilities: npt.NDArray[np.floating]) -> Logs:
    result: Logs = np.log(np.maximum(probabilities, _LEAST), dtype=np.float64)
    return result


def _weighted(evidence: Sequence[Logs], weights: Weights) -> npt.NDArray[np.float64]:
    values = sum(weight * logs for weight, logs in zip(weights, evidence, strict=True))
    powers = np.exp(values - np.max(values, axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result
