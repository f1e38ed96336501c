"""Photos to measure on, made by the benchmark: as large on disk and as slow to decode as everyday ones."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375


def make(folder: Path, count: int) -> list[bytes]:
    """Write `count` JPEGs of 500 x 375 pixels, no two alike, and return their paths."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        path.write_bytes(picture(number))
        paths.append(bytes(path))
    return paths


def picture(number: int) -> bytes:
    """Return one such JPEG; no other number gives the same."""
    small = np.random.default_rng(number).integers(0, 256, (HEIGHT // 10, WIDTH // 10, 3), np.uint8)
    image = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
