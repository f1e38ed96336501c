"""The fixed input for which each bundle must give its recorded probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def images(seed: int, count: int, size: int) -> npt.NDArray[np.uint8]:
    """Make the input of recipe blocks-1: uint8 (count, size, size, 3), 8 x 8 blocks of random colours.

    Integer arithmetic alone, so that every machine and every version of NumPy gives the same input.
    """
    image, row, column, channel = np.indices((count, size, size, 3), dtype=np.uint64)
    cell = np.uint64(max(size // 8, 1))
    mixed = (image + np.uint64(seed)) * np.uint64(2654435761)
    mixed ^= (row // cell) * np.uint64(73856093) ^ (column // cell) * np.uint64(19349663)
    mixed ^= channel * np.uint64(83492791)
    mixed = (mixed ^ (mixed >> np.uint64(13))) * np.uint64(1274126177)
    result: npt.NDArray[np.uint8] = ((mixed >> np.uint64(16)) & np.uint64(255)).astype(np.uint8)
    return result
