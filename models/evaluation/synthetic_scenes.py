"""Make synthetic scenes: photos pasted small into photos of `neither`, and two classes side by side.

Labelled photos of distant animals, and of two classes together, are rare. The edge of a pasted photo may help
or mislead a model, so use these figures to compare models and sizes; on real scenes they may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.bundle.bundle import Bundle
from models.data.batches import decoded
from models.data.dataset import Photos
from models.errors import DatasetError
from models.evaluation.metrics import intervals
from models.evaluation.metrics.intervals import Share
from models.evaluation.metrics.predictions import Predictions
from models.inference.box_crops import of_bundle
from models.inference.detector import open_detector
from models.types import LoadFn, Pixels, PredictFn, Probabilities

SHARES = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 4))
MOST = 200  # photos of each kind
_BATCH = 32


def measure(bundle: Bundle, predict: PredictFn, photos: Photos, threshold: float) -> dict[str, Share]:
    """Return `accuracy_by_composition/NAME` and `filed_by_composition/NAME` for each kind of scene.

    `photos` have labels in the bundle's order. Their order in the list decides which are combined, and where.
    Of two classes side by side no answer is right, so their accuracy is the share left unfiled. Raises
    DatasetError if none can be made.
    """
    result: dict[str, Share] = {}
    made = (*small(photos, bundle.with_folder, bundle.neither), *_pairs(photos, bundle.with_folder))
    for name, labels, load in made:
        seen = Predictions.of(bundle, labels, _predictions(bundle, predict, load, len(labels)))
        filed = seen.filed(threshold)
        right = seen.right if (labels >= 0).all() else ~filed
        result[f"accuracy_by_composition/{name}"] = intervals.share(right)
        result[f"filed_by_composition/{name}"] = intervals.share(filed)
    if not result:
        raise DatasetError(
            "no synthetic scenes can be made: expected photos of neither, or of two classes with a folder"
        )
    return result


Made = tuple[str, npt.NDArray[np.int_], LoadFn]
"""A kind of synthetic scenes: its name, the labels (n,), and the function that makes each."""


def small(photos: Photos, with_folder: Sequence[int], neither: int | None) -> Iterator[Made]:
    """Yield a kind for each of SHARES: photos of labels with a folder, shrunk into photos of neither.

    Both are columns of the labels' order; without photos of neither there is none.
    """
    scenes = np.flatnonzero(photos.labels == (-1 if neither is None else neither))
    rng = np.random.default_rng(0)
    chosen = rng.permutation(_foldered(photos, with_folder))[:MOST]
    if not len(scenes) or not len(chosen):
        return
    into, spots = rng.choice(scenes, len(chosen)), rng.random((len(chosen), 2))
    for share in SHARES:

        def load(i: int, side: int, share: Fraction = share) -> Pixels:
            scene, photo = (decoded(photos.paths[rows[i]], side) for rows in (into, chosen))
            return placed(photo, scene, share, spots[i])

        yield f"{share} of the side, in a photo of neither", photos.labels[chosen].astype(int), load


def _pairs(photos: Photos, with_folder: Sequence[int]) -> Iterator[Made]:
    rng = np.random.default_rng(1)
    first, second = (rng.permutation(_foldered(photos, with_folder)) for _ in range(2))
    differ = photos.labels[first] != photos.labels[second]
    first, second = first[differ][:MOST], second[differ][:MOST]
    if not len(first):
        return

    def load(i: int, side: int) -> Pixels:
        return beside(*(decoded(photos.paths[rows[i]], side) for rows in (first, second)))

    yield "two classes side by side", np.full(len(first), -1), load


def _foldered(photos: Photos, with_folder: Sequence[int]) -> npt.NDArray[np.int_]:
    return np.flatnonzero(np.isin(photos.labels, with_folder))


def placed(photo: Pixels, scene: Pixels, share: Fraction, spot: npt.NDArray[np.float64]) -> Pixels:
    """Shrink a photo to a share of the scene's side and lay it there; both uint8 (side, side, 3).

    `spot` is where between the left and right, top and bottom ends, each 0 to 1.
    """
    side = scene.shape[0]
    small = max(1, round(side * share))
    left, top = (round(float(value) * (side - small)) for value in spot)
    result = scene.copy()
    shrunk = Image.fromarray(photo).resize((small, small), Image.Resampling.BOX)
    result[top : top + small, left : left + small] = np.asarray(shrunk)
    return result


def beside(left: Pixels, right: Pixels) -> Pixels:
    """Return one picture of two, uint8 (side, side, 3), each squashed to half of the width."""
    side = left.shape[0]
    half = side // 2
    parts = [(left, half), (right, side - half)]
    squashed = [
        np.asarray(Image.fromarray(photo).resize((width, side), Image.Resampling.BOX))
        for photo, width in parts
    ]
    return np.concatenate(squashed, axis=1)


def _predictions(bundle: Bundle, predict: PredictFn, load: LoadFn, count: int) -> Probabilities:
    first = first_predictions(predict, load, count, bundle.input_size)
    return of_bundle(bundle, open_detector(bundle)).refine(predict, first, load).probabilities


def first_predictions(predict: PredictFn, load: LoadFn, count: int, size: int) -> Probabilities:
    """Return probabilities (count, k) of so many pictures at a side of `size` pixels, some at a time."""
    starts = range(0, count, _BATCH)
    pieces = ([load(i, size) for i in range(start, min(start + _BATCH, count))] for start in starts)
    return np.concatenate([predict(np.stack(piece)) for piece in pieces])
