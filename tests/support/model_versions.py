"""Small bundles for tests of versions: a base, and versions learnt from it, with weights of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle.bundle import Bundle, load
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write
from pipeline.learning.versions import LEARNT, family
from pipeline.settings.config import Settings

BETTER = {"better": True, "reason": "right about 9 of 10 photos, before 7"}
WORSE = {"better": False, "reason": "no better on your photos"}


def small_bundle(path: Path, seed: int = 0, **changes: Any) -> Bundle:
    """Write a bundle of cats and dogs whose weights fit no network; another seed makes another SHA-256."""
    from tests.models.conftest import manifest

    packed = pack({"head/kernel": np.ones((4, 3)), "head/bias": np.full(3, seed)})
    return write(compose(path, manifest(name=path.name) | changes, packed), packed)


def add_version(
    settings: Settings, number: int, *, base_sha256: str | None = None, learnt: Any = None, **changes: Any
) -> Path:
    """Write a version as `pawsort learn` does."""
    known = family(settings)
    version = known.version(number)
    small_bundle(version.path, number, **{"name": version.name} | changes)
    content = {
        "base_sha256": base_sha256 or known.sha256,
        "at": "2026-11-29T03:30:00+00:00",
        "verdict": BETTER,
    }
    (version.path / LEARNT).write_text(json.dumps(content | (learnt or {})), encoding="utf-8")
    return version.path


def damage(path: Path) -> None:
    """Let the weights of a bundle have one other byte."""
    file = path / load(path).manifest.weights.file
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
