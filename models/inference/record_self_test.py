"""Record the self-test of a new bundle: the probabilities that its network gives for a fixed input."""

from __future__ import annotations

from typing import Any

from models.bundle.manifest import RECIPE
from models.inference import self_test_images
from models.networks.architectures import Network, freeze
from models.networks.tf_runtime import tf

_SEED, _IMAGES, _TOLERANCE = 20260101, 4, 0.01


def record_self_test(network: Network, size: int, temperature: float) -> dict[str, Any]:
    """Return bundle.yaml's `self_test` for a network as it is stored."""
    images = self_test_images.images(_SEED, _IMAGES, size)
    (probabilities,) = freeze(network.model, size, temperature)(tf.constant(images))
    return {
        "recipe": RECIPE,
        "seed": _SEED,
        "tolerance": _TOLERANCE,
        "probabilities": [[round(min(float(p), 1.0), 6) for p in row] for row in probabilities.numpy()],
    }
