"""Choose a spread of a bundle's own photos, and compute the replay that it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.bundle.replay import PARTS, Part, Replay, joined
from models.data.batches import batches, decoded
from models.data.dataset import Photos
from models.data.splits import SPLITS
from models.inference.box_crops import CropInference
from models.inference.outputs import NetworkOutputs
from models.inference.photo_features import features_of
from models.labels import NEITHER
from models.progress import CountCallback
from models.types import Pixels

MOST: Mapping[Part, int] = {"train": 1500, "calibration": 2000, "test": 1000}
"""Photos of each part: about 2.5 MB at 1,280 features."""


def collect(
    outputs: NetworkOutputs,
    crops: CropInference,
    temperature: float,
    photos: Photos,
    seed: int,
    progress: CountCallback,
) -> Replay:
    """Compute the features of a sample of photos that are labelled in the bundle's order.

    Those of training are balanced by label, those of `neither` by source. The others keep the mix of their
    split, since thresholds are proven for it; only they get crops. Raises DatasetError.
    """
    chosen = {part: _rows(photos, part, seed) for part in PARTS}
    parts, done, total = [], 0, sum(map(len, chosen.values()))
    for part, rows in chosen.items():
        paths = [photos.paths[row] for row in rows]
        without = CropInference(None, crops.size, crops.neither, crops.with_folder)

        def load(row: int, side: int, paths: Sequence[bytes] = paths) -> Pixels:
            return decoded(paths[row], side)

        used = without if part == "train" else crops
        for features in features_of(outputs, used, temperature, batches(paths, crops.size), load):
            parts.append(features)
            done += len(features)
            progress(done, total)
    order = np.concatenate(list(chosen.values()))
    return Replay(
        joined(parts),
        photos.labels[order],
        np.repeat(np.arange(len(PARTS)), [len(rows) for rows in chosen.values()]).astype(np.int8),
        tuple(_source(photos, int(row)) for row in order),
    )


def _rows(photos: Photos, part: Part, seed: int) -> npt.NDArray[np.int64]:
    rows = np.random.default_rng([seed, PARTS.index(part)]).permutation(len(photos))
    rows = rows[photos.splits[rows] == SPLITS.index(part)]
    if part != "train":
        return np.sort(rows[: MOST[part]])
    groups = [rows[photos.labels[rows] == label] for label in range(len(photos.classes))]
    return np.sort(_spread([_by_source(photos, group) for group in groups], MOST[part]))


def _by_source(photos: Photos, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Order rows so that sources take turns."""
    sources = np.array([_source(photos, int(row)) for row in rows], dtype=object)
    members = [rows[sources == name] for name in dict.fromkeys(sources.tolist())]
    return _spread(members, len(rows))


def _spread(groups: Sequence[npt.NDArray[np.int64]], most: int) -> npt.NDArray[np.int64]:
    """Return at most so many rows, those of the groups in turn."""
    turns = np.concatenate([np.arange(len(group)) for group in groups])
    order = np.argsort(turns, kind="stable")
    result: npt.NDArray[np.int64] = np.concatenate(groups)[order][:most].astype(np.int64)
    return result


def _source(photos: Photos, row: int) -> str:
    label = photos.classes[int(photos.labels[row])]
    return photos.sources[row] if label == NEITHER else ""
