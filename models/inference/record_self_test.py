"""Record the self-test of a new bundle: the probabilities that its network gives for a fixed input."""

from __future__ import annotations

from typing import Any

from models.bundle.bundle import Precision
from models.bundle.manifest import RECIPE
from models.inference import self_test_images
from models.types import PredictFn

TOLERANCE = {"float32": 0.01, "int8": 0.1}
"""How far a probability may be off on another processor or with another version, by precision."""

_SEED, _IMAGES = 20260101, 4


def record_self_test(predict: PredictFn, size: int, precision: Precision = "float32") -> dict[str, Any]:
    """Return bundle.yaml's `self_test` for a network as it is stored."""
    rows = predict(self_test_images.images(_SEED, _IMAGES, size))
    return {
        "recipe": RECIPE,
        "seed": _SEED,
        "tolerance": TOLERANCE[precision],
        "probabilities": [[round(min(float(p), 1.0), 6) for p in row] for row in rows],
    }
