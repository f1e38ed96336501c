"""Compare decoding 12-megapixel JPEGs at a reduced scale and in full: speed and decisions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.limit import LIMITS, shipped
from benchmarks.throughput import filing_rate
from models.images.resize import shrink
from models.inference.engines import open_engine
from pipeline.classifier import image_loader
from pipeline.decision import Policy, decide
from pipeline.processes import usable_cpus
from pipeline.settings.sections import DecisionSettings

Decode = Callable[[bytes], np.ndarray]


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return rates in photos a second, and flips of the decision; a tenth of `count` photos, 10 at least."""
    count = max(10, count // 10)
    paths = photos.make(folder / "photos", count, photos.LARGE)
    figures: dict[str, float] = apart(compared, paths)
    filed = apart(filing_rate, folder / "worker", count, photos.LARGE)[0]
    return figures | {"worker, inbox to filed, photos/s": round(filed, 2)}


def compared(paths: Sequence[bytes]) -> dict[str, float]:
    """Decode photos both ways and let the shipped model decide on both."""
    bundle = shipped()
    engine = open_engine(bundle, "auto", usable_cpus())
    policy = Policy(bundle.folders, bundle.threshold(DecisionSettings().target_precision))

    def reduced(path: bytes) -> np.ndarray:
        pixels = image_loader.load((0, path), bundle.input_size, LIMITS)[1]
        assert pixels is not None
        return pixels

    fast, small = _decoded(reduced, paths)
    full, exact = _decoded(lambda path: in_full(path, bundle.input_size), paths)
    answers = [engine.predict(images) for images in (small, exact)]
    kinds = [
        [decide(dict(zip(bundle.labels, row, strict=True)), policy).outcome for row in rows.tolist()]
        for rows in answers
    ]
    return {
        "decoding at a reduced scale, photos/s": round(fast, 2),
        "decoding in full, photos/s": round(full, 2),
        "reduced / full": round(fast / full, 2),
        "flips of the decision, share": float(np.mean([a != b for a, b in zip(*kinds, strict=True)])),
        "greatest difference of a probability": round(float(np.abs(answers[0] - answers[1]).max()), 4),
    }


def in_full(path: bytes, size: int) -> np.ndarray:
    """Decode every pixel of a JPEG, then shrink it as all others are."""
    with Image.open(path) as image:
        image.load()
        return np.asarray(shrink(image, (size, size)))


def _decoded(decode: Decode, paths: Sequence[bytes]) -> tuple[float, np.ndarray]:
    with ThreadPoolExecutor(usable_cpus()) as pool:
        began = time.perf_counter()
        images = list(pool.map(decode, paths))
        return len(paths) / (time.perf_counter() - began), np.stack(images)
