"""Count the decisions that speed changes: another engine, bfloat16, no multi-crop for clear cases of neither.

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
from models.inference import multi_crop, openvino_engine
from models.inference.engines import Engine, bfloat16_engine, open_engine
from models.training.bfloat16_check import CONFIDENT, compare
from pipeline.config import DecisionSettings
from pipeline.decision import Policy, decide


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures of `count` photos, or of all if there are fewer."""
    paths = photos.everyday(count) or photos.make(folder / "photos", count)
    bundle = load(BUNDLE)
    reference, other = open_engine(bundle, "tensorflow"), open_engine(bundle, "openvino")
    first, same = _first(bundle, reference, paths), _first(bundle, other, paths)
    look = bundle.multi_crop
    figures = {"photos": float(len(paths)), **_flips(bundle, first, same), **_sketches(bundle, paths, same)}
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


def _sketches(bundle: Bundle, paths: Sequence[bytes], exact: np.ndarray) -> dict[str, float]:
    """Say what first answers in bfloat16 change; nothing on a processor without."""
    engine = bfloat16_engine(bundle) if openvino_engine.has_bfloat16() else None
    if engine is None:
        return {}
    sketch = _first(bundle, engine, paths)
    found = compare(bundle, exact, sketch, bundle.threshold(DecisionSettings().target_precision))
    alone = float((_decisions(bundle, exact) != _decisions(bundle, sketch)).mean())
    return {
        "bfloat16: photos that float32 answers again, share": round(found.again, 4),
        "bfloat16: decisions that differ": float(found.flips),
        "bfloat16: decisions that differ, share": found.flips / found.photos,
        f"bfloat16: of these, both surer than {CONFIDENT}": float(found.confident_flips),
        "bfloat16: greatest difference of a probability": float(f"{found.difference:.1g}"),
        "bfloat16: decisions that would differ if it answered alone, share": round(alone, 4),
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
