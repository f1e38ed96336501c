"""Count the decisions that speed changes: another engine, int8, no multi-crop for clear cases of neither.

Decisions are made with the default settings. Some of the photos trained the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import photos
from benchmarks.limit import BUNDLE
from models.bundle.bundle import Bundle, load
from models.data.batches import batches, decoded
from models.inference import multi_crop
from models.inference.engines import Engine, answering, open_engine
from pipeline.config import DecisionSettings
from pipeline.decision import Policy, decide

CONFIDENT = 0.99


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures of `count` photos, or of all if there are fewer."""
    paths = photos.everyday(count) or photos.make(folder / "photos", count)
    bundle = load(BUNDLE)
    reference, other = open_engine(bundle, "tensorflow"), open_engine(bundle, "openvino")
    first, same = _first(bundle, reference, paths), _first(bundle, other, paths)
    look = bundle.multi_crop
    figures = {"photos": float(len(paths)), **_flips(bundle, first, same), **_precisions(bundle, paths, same)}
    if look is None or bundle.neither is None:
        return figures
    every = _looked(bundle, replace(look, neither_below=1.1), other, paths, same)
    unsure, worth = (
        multi_crop.low_confidence(same, replace(look, neither_below=below), bundle.neither)
        for below in (1.1, look.neither_below)
    )
    spared = same.copy()
    spared[worth] = every[worth]
    return figures | {
        "low-confidence photos": float(len(unsure)),
        "of these, clearly neither and not predicted again": float(len(unsure) - len(worth)),
        "decisions that this changes": float(np.sum(_decisions(bundle, every) != _decisions(bundle, spared))),
        "likeliest classes that this changes": float(np.sum(every.argmax(axis=1) != spared.argmax(axis=1))),
    }


def _precisions(bundle: Bundle, paths: Sequence[bytes], exact: np.ndarray) -> dict[str, float]:
    """Compare int8 with float32, each by its own calibration; nothing where the bundle has no int8."""
    int8 = answering(bundle)
    if int8.precision != "int8":
        return {}
    quick = _first(int8, open_engine(int8), paths)
    different = _decisions(bundle, exact) != _decisions(int8, quick)
    return {
        "int8: decisions that differ from float32, share": round(float(different.mean()), 4),
        "int8: likeliest classes that differ, share": round(
            float((exact.argmax(axis=1) != quick.argmax(axis=1)).mean()), 4
        ),
        "int8: greatest difference of a probability": float(f"{np.abs(exact - quick).max():.1g}"),
    }


def _first(bundle: Bundle, engine: Engine, paths: Sequence[bytes]) -> np.ndarray:
    return np.concatenate([engine.predict(images) for images in batches(paths, bundle.input_size)])


def _looked(
    bundle: Bundle, look: multi_crop.MultiCrop, engine: Engine, paths: Sequence[bytes], first: np.ndarray
) -> np.ndarray:
    def again(index: int, side: int) -> np.ndarray:
        return decoded(paths[index], side)

    return multi_crop.refine(engine.predict, first, look, bundle.input_size, again, neither=bundle.neither)


def _flips(bundle: Bundle, one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    different = _decisions(bundle, one) != _decisions(bundle, other)
    confident = different & (np.minimum(one.max(axis=1), other.max(axis=1)) > CONFIDENT)
    return {
        "flips of the decision between engines": float(different.sum()),
        "flips between engines, share": float(different.mean()),
        f"flips where both are surer than {CONFIDENT}": float(confident.sum()),
        "greatest difference of a probability between engines": float(f"{np.abs(one - other).max():.1g}"),
    }


def _decisions(bundle: Bundle, probabilities: np.ndarray) -> np.ndarray:
    policy = Policy(bundle.folders, bundle.threshold(DecisionSettings().target_precision))
    return np.array(
        [decide(dict(zip(bundle.labels, row, strict=True)), policy).outcome for row in probabilities.tolist()]
    )
