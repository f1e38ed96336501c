"""Run a bundle's detector: find animals in a photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.bundle.bundle import Bundle, read_detector
from models.errors import BundleError
from models.inference import openvino_engine
from models.inference.box_crops import Box, DetectFn, cut
from models.types import Float32, Pixels

OVERLAP = 0.45
"""Of two boxes whose intersection over union is at least this, only the one of the higher score is kept."""

LEAST_SCORE = 0.1
"""Boxes of a lower score are noise."""

MOST_BOXES = 8

LARGEST_SIDE = 2048
"""Pixels of the network's input, as of a photo for it; see `manifest.Detector.side`."""

_WHOLE = (0.0, 0.0, 1.0, 1.0)


def open_detector(bundle: Bundle, threads: int | None = None) -> DetectFn | None:
    """Return the bundle's detector on OpenVINO; None where the bundle has none. Thread-safe.

    `threads` is how many cores it may use, all by default. Raises BundleError where the network cannot be
    read or run.
    """
    entry, network = bundle.manifest.detector, read_detector(bundle)
    if entry is None or network is None:
        return None
    labels = tuple(entry.labels)
    try:
        model = openvino_engine.read(network)
        size = _input_size(model, len(labels))
        run = openvino_engine.single(model, threads)
        _try(run, size, len(labels))
    except Exception as error:  # OpenVINO raises many types
        detail = " ".join(str(error).split())
        raise BundleError(
            f"{bundle.path / entry.network.file}: OpenVINO cannot run the detector: {detail}. Restore the "
            "bundle, or remove `detector` from bundle.yaml to classify without it."
        ) from error
    return lambda photo: boxes_of(run(cut(photo, _WHOLE, size)[None])[0], labels)


def _input_size(model: Any, labels: int) -> int:
    """Return the side in pixels of the network's input. Raises ValueError for another kind of network."""
    given, returned = list(model.input(0).shape), list(model.output(0).shape)
    side = given[1] if len(given) > 1 else 0
    if given != [1, side, side, 3] or returned[:1] + returned[2:] != [1, labels + 4] or len(model.inputs) > 1:
        raise ValueError(f"it maps {given} to {returned}, expected [1, s, s, 3] to [1, n, {labels + 4}]")
    if side > LARGEST_SIDE:
        raise ValueError(f"its input has a side of {side} pixels, at most {LARGEST_SIDE} is allowed")
    return int(side)


def _try(run: Callable[[Pixels], Float32], size: int, labels: int) -> None:
    """Run the network once, so that one that cannot run fails here and not on each photo."""
    returned = run(np.full((1, size, size, 3), 128, np.uint8)).shape
    if len(returned) != 3 or (returned[0], returned[2]) != (1, labels + 4):
        raise ValueError(f"it answers {list(returned)}, expected [1, n, {labels + 4}]")


def boxes_of(rows: Float32, labels: Sequence[str]) -> list[Box]:
    """Return the boxes in a detector's output (n, k + 4): scores of k labels, then an area; best first.

    A box has the label of its highest score. Of boxes that overlap, whatever their labels, the one of the
    highest score is kept (greedy non-maximum suppression), so that one animal gives one box. A row that is
    not finite is no box.
    """
    scores = np.where(np.isfinite(rows).all(axis=1), rows[:, : len(labels)].max(axis=1), 0)
    others = np.flatnonzero(scores >= LEAST_SCORE)
    others = others[np.argsort(-scores[others], kind="stable")]
    areas = np.clip(rows[:, len(labels) :], 0, 1)
    kept: list[Box] = []
    while len(others) and len(kept) < MOST_BOXES:
        best, others = others[0], others[1:]
        x0, y0, x1, y1 = map(float, areas[best])
        if x0 < x1 and y0 < y1:
            label = labels[int(rows[best, : len(labels)].argmax())]
            kept.append(Box(label, float(scores[best]), (x0, y0, x1, y1)))
            others = others[intersection_over_union(areas[best], areas[others]) < OVERLAP]
    return kept


def intersection_over_union(area: Float32, others: Float32) -> Float32:
    """Return the share of the union of an area (4,) and each of n others (n, 4) that lies in both, (n,)."""
    low, high = np.maximum(area[:2], others[:, :2]), np.minimum(area[2:], others[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    own, their = (np.prod(value[..., 2:] - value[..., :2], axis=-1) for value in (area, others))
    result: Float32 = shared / np.maximum(own + their - shared, 1e-9)
    return result
