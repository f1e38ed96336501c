"""Array and callback types that several packages of `models` share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""RGB, (height, width, 3) or (n, height, width, 3)."""

Probabilities = npt.NDArray[np.float32]
"""(n, k), rows summing to 1."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PredictFn = Callable[[Pixels], Probabilities]
"""From uint8 images (n, s, s, 3) to probabilities (n, k)."""

LoadFn = Callable[[int, int], Pixels]
"""`load(i, side)` decodes photo i to uint8 (side, side, 3)."""

TryLoadFn = Callable[[int, int], Pixels | None]
"""As LoadFn; None where the photo cannot be read any more."""
