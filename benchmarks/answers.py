"""Count the decisions that speed changes: another engine, int8, no crops for clear cases of neither.

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
from models.inference.box_crops import CropInference, of_bundle
from models.inference.detector import open_detector
from models.inference.engines import Engine, answering, open_engine
from pipeline.decision import Policy, decide
from pipeline.settings.sections import DecisionSettings

CONFIDENT = 0.99
ALL = 1.1
"""Above every probability."""


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures of `count` photos, or of all if there are fewer."""
    paths = photos.everyday(count) or photos.make(folder / "photos", count)
    bundle = load(BUNDLE)
    first, same = (_first(bundle, open_engine(bundle, kind), paths) for kind in ("tensorflow", "openvino"))
    figures = {"photos": float(len(paths)), **_flips(bundle, first, same), **_precisions(bundle, paths, same)}
    return figures | _left_out(answering(bundle), paths)


def _left_out(bundle: Bundle, paths: Sequence[bytes]) -> dict[str, float]:
    """Count what changes since photos that are neither with high probability get no crops."""
    crops = of_bundle(bundle, open_detector(bundle))
    if crops.corners is None or crops.neither is None:
        return {}
    engine = open_engine(bundle)
    first = _first(bundle, engine, paths)
    all_asked = {"neither_below": ALL}
    every = (
        replace(crops, rule=crops.rule.model_copy(update=all_asked))
        if crops.rule
        else replace(crops, corners=crops.corners.model_copy(update=all_asked))
    )

    def again(index: int, side: int) -> np.ndarray:
        return decoded(paths[index], side)

    spared, asked = (c.refine(engine.predict, first, again).probabilities for c in (crops, every))
    return {
        "clear cases of neither, without crops": float((first[:, crops.neither] >= _below(crops)).sum()),
        "decisions that this changes": float(np.sum(_decisions(bundle, asked) != _decisions(bundle, spared))),
        "likeliest classes that this changes": float(np.sum(asked.argmax(axis=1) != spared.argmax(axis=1))),
    }


def _below(crops: CropInference) -> float:
    assert crops.corners
    return (crops.rule or crops.corners).neither_below


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
