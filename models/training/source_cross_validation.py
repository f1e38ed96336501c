"""Leave-one-source-out predictions: estimate how the model does on an unseen source of `neither`.

A network recognises a source more easily than its objects, so figures on a source that trained it are better
than on a new one. For each source, a last layer is fitted without it and predicts its photos.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models import calibration
from models.data.batches import batches, decoded
from models.data.dataset import Photos
from models.inference.box_crops import CropInference
from models.inference.outputs import NetworkOutputs
from models.labels import NEITHER
from models.networks.architectures import Network
from models.training.linear_probe import FeatureSet, LinearHead, fit
from models.types import Float32, LoadFn, Pixels, Probabilities

FEWEST = 3
"""Sources of `neither` that are needed to leave one out."""


def heads_by_source(features: FeatureSet, classes: tuple[str, ...], seed: int) -> dict[str, LinearHead]:
    """Fit a last layer without each source of `neither`, by source; empty with too few sources."""
    if NEITHER not in classes:
        return {}
    neither = features.labels == classes.index(NEITHER)
    owners = np.array([s if n else "" for s, n in zip(features.sources, neither, strict=True)])
    names = sorted(set(owners.tolist()) - {""})
    if len(names) < FEWEST:
        return {}
    return {name: fit(features, len(classes), seed, owners != name) for name in names}


def unseen_source_predictions(
    network: Network,
    outputs: NetworkOutputs,
    photos: Photos,
    heads: Mapping[str, LinearHead],
    temperature: float,
    crops: CropInference,
) -> tuple[npt.NDArray[np.int64], Probabilities]:
    """Return the rows (m,) of photos of `neither` whose source has a head, and its probabilities (m, k)."""
    label = photos.classes.index(NEITHER) if NEITHER in photos.classes else -1
    rows = np.array(
        [i for i, s in enumerate(photos.sources) if photos.labels[i] == label and s in heads], dtype=np.int64
    )
    if not len(rows):
        return rows, np.zeros((0, len(photos.classes)), np.float32)
    chosen, size = [photos.paths[i] for i in rows], outputs.size
    features = np.concatenate([outputs.features(images) for images in batches(chosen, size)])
    result = np.empty((len(rows), len(photos.classes)), np.float32)
    for place, (row, values) in enumerate(zip(rows, features, strict=True)):
        head = heads[photos.sources[row]]

        def predict(images: Pixels, head: LinearHead = head) -> Probabilities:
            return _probabilities(network, head, outputs.features(images), temperature)

        first = _probabilities(network, head, values[None], temperature)
        refined = crops.refine(predict, first, _reader(photos.paths[row]))
        result[place] = refined.probabilities[0]
    return rows, result


def _reader(path: bytes) -> LoadFn:
    return lambda _, side: decoded(path, side)


def _probabilities(
    network: Network, head: LinearHead, features: Float32, temperature: float
) -> Probabilities:
    logits = head.logits(features)
    if network.imagenet_prior is not None:  # not fitted to photos of `neither`
        logits = logits + network.imagenet_prior(features).numpy()
    return calibration.softmax(logits, temperature).astype(np.float32)
