"""Versions of the shipped model that answer differently from it, and from each other, on every photo."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.bundle.bundle import Bundle, load, locate, read_replay, read_weights
from models.inference.box_crops import of_bundle
from models.inference.engines import answering
from models.learning.fitting.head import head_of
from models.learning.fitting.last_layer import Calibration, Material
from models.learning.version import Challenger, write_version
from pipeline.learning.versions import LEARNT, Version
from tests.support.model_versions import BETTER

SHIFT = 0.4
"""A version adds its number times this to the logit of a cat: far more than any rounding."""

EASIER = 0.01
"""A version files from a threshold that is its number times this lower."""

EACH = 20
"""Each of so many photos of the shipped replay is used, so that a version is written in seconds."""


def shipped() -> Bundle:
    """Return the model that the worker uses without any settings."""
    return answering(load(locate("cats_dogs", Path("unused"))))


def write_real_version(base: Bundle, version: Version) -> Bundle:
    """Write a version with a network of its own: the shipped one with another last layer and thresholds."""
    whole = read_replay(base)
    assert whole is not None
    replay = whole.where(np.arange(len(whole)) % EACH == 0)
    none = replay.where(np.zeros(len(replay), bool))
    crops, own = of_bundle(base, None), head_of(read_weights(base))
    shift = np.array([SHIFT * version.number if label == "cat" else 0.0 for label in base.labels], np.float32)
    head = replace(own, bias=own.bias + shift).stored()
    material = Material(base.labels, len(base.labels), replay, none, own.prior, crops)
    version.path.parent.mkdir(parents=True, exist_ok=True)
    made = Challenger(
        base, version.name, base.folders, material, head, _calibration(base, version.number), 0.995
    )
    bundle = write_version(made, version.path, seed=1)
    content = {
        "base_sha256": base.manifest.weights.sha256,
        "at": "2026-11-29T03:30:00+00:00",
        "verdict": BETTER,
    }
    (version.path / LEARNT).write_text(json.dumps(content), encoding="utf-8")
    return bundle


def _calibration(base: Bundle, number: int) -> Calibration:
    table = base.calibration.model_dump()
    for entry in table["thresholds"]:
        entry["threshold"] -= number * EASIER
    return Calibration(base.calibration.temperature, table)
