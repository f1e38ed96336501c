"""Record the self-test and the package versions of a new bundle."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from models.bundle.manifest import RECIPE
from models.inference import self_test as selftest
from models.networks.architectures import Network, freeze
from models.networks.tf_runtime import tf

_SEED, _IMAGES, _TOLERANCE = 20260101, 4, 0.01


def self_test(network: Network, size: int, temperature: float) -> dict[str, Any]:
    """Return bundle.yaml's `self_test` for a network as it is stored."""
    images = selftest.images(_SEED, _IMAGES, size)
    (probabilities,) = freeze(network.model, size, temperature)(tf.constant(images))
    return {
        "recipe": RECIPE,
        "seed": _SEED,
        "tolerance": _TOLERANCE,
        "probabilities": [[round(min(float(p), 1.0), 6) for p in row] for row in probabilities.numpy()],
    }


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that influence a training."""
    packages = ("tensorflow", "keras", "numpy", "pillow", "cykooz-resizer")
    return {"python": platform.python_version()} | {
        name: found for name in packages if (found := _version(name))
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # no wheel of it on this platform
        return None
