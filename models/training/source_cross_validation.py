"""What a model trained on all sources of `neither` would say of photos from a source that it has never seen.

A source is recognised far more easily than what it shows, so photos of a source that was trained on say too
little of what else will come. For each source, the last layer is fitted again without it, and judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.manifest import CloserLook
from models.data.batches import batches, decoded
from models.data.dataset import Photos
from models.inference import multi_crop
from models.labels import NEITHER
from models.networks.architectures import Network
from models.training.linear_probe import LinearHead, Probe, fit, observer

FEWEST = 3
"""Sources of `neither` from which on judging each by the others makes sense."""

Floats = npt.NDArray[np.float32]


def heads_by_source(probe: Probe, classes: tuple[str, ...], seed: int) -> dict[str, LinearHead]:
    """Fit a last layer without each source of `neither`, by source; none where there are too few."""
    if NEITHER not in classes:
        return {}
    neither = probe.labels == classes.index(NEITHER)
    owners = np.array([s if n else "" for s, n in zip(probe.sources, neither, strict=True)])
    names = sorted(set(owners.tolist()) - {""})
    if len(names) < FEWEST:
        return {}
    return {name: fit(probe, len(classes), seed, owners != name) for name in names}


def unseen_source_predictions(
    network: Network,
    photos: Photos,
    fitted: Mapping[str, LinearHead],
    size: int,
    temperature: float,
    look: CloserLook | None,
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the places of photos of `neither` whose source has a line, and probabilities (m, k) by it."""
    label = photos.classes.index(NEITHER) if NEITHER in photos.classes else -1
    rows = np.array(
        [i for i, s in enumerate(photos.sources) if photos.labels[i] == label and s in fitted], dtype=np.int64
    )
    if not len(rows):
        return rows, np.zeros((0, len(photos.classes)), np.float32)
    observe = observer(network)
    chosen = [photos.paths[i] for i in rows]
    features = np.concatenate([observe(images) for images in batches(chosen, size)])
    result = np.empty((len(rows), len(photos.classes)), np.float32)
    for place, (row, values) in enumerate(zip(rows, features, strict=True)):
        line = fitted[photos.sources[row]]

        def answer(images: npt.NDArray[np.uint8], line: LinearHead = line) -> Floats:
            return _probabilities(network, line, observe(images), temperature)

        first = _probabilities(network, line, values[None], temperature)
        if look is not None:
            first = multi_crop.look_closer(
                answer, first, look, size, _reader(photos.paths[row]), neither=label
            )
        result[place] = first[0]
    return rows, result


def _reader(path: bytes) -> Callable[[int, int], npt.NDArray[np.uint8]]:
    return lambda _, side: decoded(path, side)


def _probabilities(network: Network, line: LinearHead, features: Floats, temperature: float) -> Floats:
    logits = line.logits(features)
    if network.opinion is not None:  # it has seen no photo of `neither`
        logits = logits + network.opinion(features).numpy()
    return calibration.softmax(logits, temperature).astype(np.float32)
