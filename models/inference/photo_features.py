"""Compute features of photos and of their crops once, and predict from them with any last layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from models import calibration
from models.bundle.replay import Features
from models.inference.box_crops import Chosen, CropInference, Crops, Refined
from models.inference.outputs import NetworkOutputs
from models.types import Float32, Pixels, Probabilities, TryLoadFn

LogitsFn = Callable[[Float32], Float32]
"""From features (n, f) to logits (n, k)."""

BELOW, NEITHER_BELOW, EMPTY_BELOW, SECOND = 0.99, 0.95, 0.998, 0.5
"""Bounds wider than those of multi-crop inference, and a share of its `second_above`: another last layer is
unsure of other photos."""


@dataclass(frozen=True, slots=True)
class FromFeatures:
    """Predictions from stored features, and how many photos lack the crops to predict them by."""

    refined: Refined
    without_crops: int


def features_of(
    outputs: NetworkOutputs,
    crops: CropInference,
    temperature: float,
    images: Iterable[Pixels],
    load: TryLoadFn,
) -> Iterator[Features]:
    """Yield the features of batches of photos; `load(i, side)` decodes photo i of all of them for crops.

    Crops are those of photos that multi-crop inference predicts again, or nearly so. Where `crops` has no
    corners, there are none.
    """
    done, wide = 0, widened(crops)
    for batch in images:
        logits, whole = outputs.run(batch)
        probabilities = calibration.softmax(logits, temperature).astype(np.float32)

        def load_own(row: int, side: int, start: int = done) -> Pixels | None:
            return load(start + row, side)

        seen = sorted(wide.seen(outputs.features, probabilities, load_own), key=lambda found: found.row)
        yield _features(whole, seen)
        done += len(batch)


def _features(whole: Float32, seen: list[Crops]) -> Features:
    counts = [len(crops.predictions) for crops in seen]
    return Features(
        whole,
        np.concatenate([np.zeros((0, whole.shape[1]), np.float32), *(crops.predictions for crops in seen)]),
        np.repeat([crops.row for crops in seen], counts).astype(np.int32),
        np.repeat([crops.are_boxes for crops in seen], counts).astype(bool),
    )


def widened(crops: CropInference) -> CropInference:
    """Return the inference with wider bounds on the photos that are predicted again."""
    if crops.corners is None:
        return crops
    corners = crops.corners.model_copy(
        update={
            "below": max(BELOW, crops.corners.below),
            "neither_below": max(NEITHER_BELOW, crops.corners.neither_below),
        }
    )
    rule = crops.rule and crops.rule.model_copy(
        update={
            "second_above": SECOND * crops.rule.second_above,
            "neither_below": max(EMPTY_BELOW, crops.rule.neither_below),
        }
    )
    return replace(crops, corners=corners, rule=rule)


def predict(features: Features, logits: LogitsFn, temperature: float, crops: CropInference) -> FromFeatures:
    """Predict photos from their features as multi-crop inference would from their pixels."""

    def probabilities_of(values: Float32) -> Probabilities:
        return calibration.softmax(logits(values), temperature).astype(np.float32)

    whole = probabilities_of(features.whole)
    chosen, seen = crops.chosen(whole), probabilities_of(features.crops)
    without = chosen.unsure - set(features.crop_rows.tolist())
    return FromFeatures(crops.combined(whole, _stored(features, seen, chosen)), len(without))


def _stored(features: Features, seen: Probabilities, chosen: Chosen) -> Iterator[Crops]:
    starts = np.searchsorted(features.crop_rows, np.arange(len(features) + 1))
    for row in chosen.rows:
        own = slice(int(starts[row]), int(starts[row + 1]))
        found, are_boxes = seen[own], bool(features.are_boxes[own].any())
        fewest = 1 if row in chosen.unsure or row in chosen.empty else 2
        if len(found) and (row in chosen.unsure if not are_boxes else len(found) >= fewest):
            yield Crops(row, found, are_boxes, count=row in chosen.unsure or row in chosen.empty)
