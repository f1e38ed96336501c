"""MobileNetV2 with ImageNet's 1,000 classes as a bundle, made from weights that are not shipped.

It names objects. Its bundle has no folders, so it cannot file photos.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.bundle.bundle import MANIFEST, Bundle, load
from models.bundle.cache import cache_folder
from models.bundle.manifest import SCHEMA_VERSION
from models.bundle.write_bundle import compose, write
from models.errors import ArchitectureError, BundleError

NAME = "imagenet"
_LABELS = Path(__file__).parents[1] / NAME / "labels.txt"
_SIZE = 224


def labels() -> list[str]:
    """Return the names of the classes in the network's order."""
    return _LABELS.read_text(encoding="utf-8").splitlines()


def open_imagenet(weights: Path | None = None, cache: Path | None = None) -> Bundle:
    """Return the bundle made from a .weights.h5 file, or from the weights that Keras downloads; cached.

    Without `weights`, any cached bundle is used. Raises BundleError.
    """
    folder = cache or cache_folder()
    if weights is None:
        made = sorted(folder.glob(f"{NAME}-*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
        known, source = (made[-1].parent if made else folder / f"{NAME}-keras"), "imagenet"
    else:
        known, source = folder / f"{NAME}-{_digest(weights)}", str(weights)
    try:
        return load(known)
    except BundleError:
        return _make(source, known)


def _digest(weights: Path) -> str:
    try:
        with open(weights, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise BundleError(f"{weights}: cannot be read: {error.strerror}") from error


def _make(source: str, path: Path) -> Bundle:
    from models.bundle.package_versions import package_versions
    from models.bundle.weights import pack, unpack
    from models.inference.record_self_test import record_self_test
    from models.networks import architectures

    network = architectures.build("mobilenet_v2", len(labels()))
    try:
        architectures.initialise_from_imagenet(network, source, head=True)
    except ArchitectureError as error:
        raise BundleError(f"{error}. Name a .weights.h5 file with --weights FILE.") from error
    packed = pack(network.arrays)
    network.restore(unpack(packed))
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": NAME,
        "architecture": "mobilenet_v2",
        "labels": labels(),
        "folders": {},
        "input_size": _SIZE,
        "calibration": {
            "temperature": 1.0, "photos": 0, "bound": 0.9,
            "thresholds": [{"target_precision": 1.0, "threshold": 1.0, "precision": 1.0,
                            "coverage": 0.0, "proven": False}],
        },
        "self_test": record_self_test(architectures.predict_fn(network, _SIZE, 1.0), _SIZE),
        "figures": {},
        "made": {
            "command": f"pawsort classify --model {NAME} --weights {source}",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": 0, "data": {}, "set_aside": 0, "held_out_sources": {}, "versions": package_versions(),
        },
    }  # fmt: skip
    try:
        return write(compose(path, content, packed), packed)
    except OSError as error:
        raise BundleError(f"{path}: cannot keep the model there: {error.strerror}") from error
