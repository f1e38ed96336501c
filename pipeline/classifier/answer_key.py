"""Compute the answer key: a digest of everything that an answer depends on besides the file's content."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import models
from models.bundle.bundle import Bundle
from pipeline.classifier.configured_model import policy
from pipeline.settings.config import Settings

PACKAGES = (
    "numpy", "pillow", "pillow-heif", "rawpy", "cykooz-resizer", "tensorflow", "keras", "h5py", "openvino",
)  # fmt: skip
"""Packages that decode a picture, scale it or run a network."""

CODE = (
    "models/*.py", "models/bundle/*.py", "models/images/**/*.py", "models/inference/*.py",
    "models/networks/*.py", "pipeline/classifier/*.py", "pipeline/decision.py",
)  # fmt: skip
"""Modules that decode a picture, classify it or choose its folder, as patterns."""


def answer_key(settings: Settings, bundle: Bundle, engine_name: str = "") -> str:
    """Return 16 hexadecimal digits that change when another answer to the same content is possible.

    That is with another model, calibration or threshold, another limit, another engine, other versions of the
    packages that decode and classify, or other code of Pawsort's own. `engine_name` is the engine in use.
    """
    manifest = bundle.manifest.model_dump(mode="json") if bundle.manifest else None
    parts = {
        "model": [bundle.sha256, manifest],
        "policy": [policy(settings, bundle).threshold, dict(bundle.folders)],
        "limits": settings.limits.model_dump(mode="json"),
        "engine": [settings.engine, engine_name, platform.machine()],
        "packages": {name: _version(name) for name in PACKAGES},
        "code": _code(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@cache  # a process goes on with what it has imported, whatever is installed meanwhile
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _code() -> str:
    # The code itself rather than a number, which a change would have to remember to raise.
    return hashlib.sha256(b"".join(path.read_bytes() for path in code_files())).hexdigest()


def code_files() -> list[Path]:
    """Return the files of CODE, in a fixed order."""
    root = Path(models.__path__[0]).parent
    return [path for pattern in CODE for path in sorted(root.glob(pattern))]
