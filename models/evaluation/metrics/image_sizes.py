"""Group photos by longest side and aspect ratio, read from their headers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from models.data.dataset import read
from models.images.formats.errors import UnreadableImage
from models.images.headers import read_header

SIDES = (128, 256, 512, 1024, 2048, 4096)
RATIOS = ((1.05, "square"), (1.4, "to 7:5"), (1.8, "to 9:5"))
LONGER = "longer"


def dimensions(paths: Sequence[bytes]) -> npt.NDArray[np.int32]:
    """Return width and height (n, 2) in pixels as stored; 0 where a header cannot be read."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(_dimensions, paths, chunksize=16))
    return np.array(found, dtype=np.int32).reshape(-1, 2)


def _dimensions(path: bytes) -> tuple[int, int]:
    try:
        header = read_header(read(path))
    except (OSError, UnreadableImage):
        return 0, 0  # removed since it was decoded; the other figures are still valid
    return header.width, header.height


def places(paths: Sequence[bytes]) -> dict[str, list[str]]:
    """Return each photo's group by its longest side, and by how long it is for its width; "" for none."""
    return groups(dimensions(paths))


def groups(sizes: npt.NDArray[np.int32]) -> dict[str, list[str]]:
    """Return the same from width and height (n, 2)."""
    return {
        "size": [_size(int(max(size))) for size in sizes],
        "shape": [_shape(int(max(size)), int(min(size))) for size in sizes],
    }


def _size(longest: int) -> str:
    if longest == 0:
        return ""
    below = 0
    for side in SIDES:
        if longest <= side:
            return f"{below + 1} to {side} px"
        below = side
    return f"over {below} px"


def place(name: str) -> int:
    """Return the index of a group of sizes or shapes among the others of its kind; 0 for any other group."""
    sizes = [_size(side) for side in (*SIDES, SIDES[-1] + 1)]
    ratios = [*(ratio for _, ratio in RATIOS), LONGER]
    return next((order.index(name) for order in (sizes, ratios) if name in order), 0)


def _shape(longest: int, shortest: int) -> str:
    if shortest == 0:
        return ""
    return next((name for most, name in RATIOS if longest / shortest <= most), LONGER)
