"""Make photos to measure on, as large on disk and as slow to decode as ordinary ones."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image

SMALL = 500
"""Longer side in pixels of an everyday photo."""
LARGE = 4000
"""Longer side of one from a phone: 4000 x 3000 is 12 megapixels."""

_SHARED = Path(__file__).parents[2] / "shared" / "data"
_FOLDERS = ("cats_dogs/cat", "cats_dogs/dog", "cats_dogs/cat", "cats_dogs/dog", "neither/objects")
_GRAIN = np.random.default_rng(0).normal(0, 4, (1024, 1024, 1)).astype(np.int16)


def origin() -> str:
    """Say in words what the photos are made from."""
    if _SHARED.is_dir():
        return "photographs of cats, dogs and, a fifth, neither, enlarged, with grain as a sensor gives it"
    return "coloured blocks without any animal"


def everyday(count: int) -> list[bytes]:
    """Return so many of the photographs as they are, in an order of chance, or all there are."""
    found = sorted(bytes(path) for path in _SHARED.glob("*/*/*.*"))
    return [found[i] for i in np.random.default_rng(1).permutation(len(found))[:count]]


def make(folder: Path, count: int, side: int = SMALL) -> list[bytes]:
    """Write `count` JPEGs of `side` x 3/4 `side` pixels, no two alike, and return their paths."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:06}.jpg" for number in range(count)]
    for path, content in zip(paths, _contents(count, side), strict=True):
        path.write_bytes(content)
    return list(map(bytes, paths))


@functools.cache  # each run gets the same photos, as new files
def _contents(count: int, side: int) -> tuple[bytes, ...]:
    sources = _sources(count)
    return tuple(_enlarged(sources[n], side) if sources else picture(n, side) for n in range(count))


def picture(number: int, side: int = SMALL) -> bytes:
    """Return a JPEG of coloured blocks; no other number gives the same."""
    small = np.random.default_rng(number).integers(0, 256, (side * 3 // 40, side // 10, 3), np.uint8)
    return _jpeg(Image.fromarray(small).resize((side, side * 3 // 4), Image.Resampling.BICUBIC))


def _sources(count: int) -> list[Path]:
    """Choose so many photographs, the folders in turn; none where they are not here, or are too few."""
    queues = {name: iter(_photographs(_SHARED / name)) for name in set(_FOLDERS)}
    chosen = [path for n in range(count) if (path := next(queues[_FOLDERS[n % len(_FOLDERS)]], None))]
    return chosen if len(chosen) == count else []


def _photographs(folder: Path) -> list[Path]:
    # Those called k_ were squashed to squares by their publisher.
    return sorted(path for path in folder.glob("*.*") if not path.name.startswith("k_"))


def _enlarged(path: Path, side: int) -> bytes:
    box = side, side * 3 // 4
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize(box, Image.Resampling.BICUBIC), np.int16)
    tiles = -(-box[1] // len(_GRAIN)), -(-box[0] // len(_GRAIN)), 1
    grain = np.tile(_GRAIN, tiles)[: box[1], : box[0]]
    return _jpeg(Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)))


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
