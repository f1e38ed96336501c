"""Fit the closer look to photos that training has not seen: as they are, and made small in others.

Photos of animals far away are what it is for, and rare among those that people label; so some are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle.manifest import CloserLook
from models.data.batches import Pixels, decoded
from models.data.dataset import Photos
from models.evaluation.synthetic_scenes import Load, first_looks, small
from models.inference import multi_crop

MADE = 0.3
"""How much a made photo counts beside a real one."""

Floats = npt.NDArray[np.float32]
Answer = Callable[[Pixels], Floats]


@dataclass(frozen=True, slots=True)
class MultiCropFit:
    """What a closer look is fitted for: a network's answers, and what its labels mean."""

    answer: Answer  # uint8 photos (n, size, size, 3) -> probabilities (n, k)
    size: int  # pixels
    zoom: float  # how much larger, above 1, parts are seen than at first
    with_folder: Sequence[int]  # columns
    neither: int | None  # column

    def fitted(self, photos: Photos, probabilities: Floats) -> tuple[CloserLook | None, Floats]:
        """Return the closer look, if one is worth its time, and the probabilities (n, k) that it leads to.

        `probabilities` are those at first sight; photos of neither in `photos` are the scenes of made ones.
        """
        real = self._doubts(probabilities, photos.labels, lambda i, side: decoded(photos.paths[i], side), 1.0)
        made = [
            self._doubts(first_looks(self.answer, load, len(labels), self.size), labels, load, MADE)
            for _, labels, load in small(photos, self.with_folder, self.neither)
        ]
        whole, parts, targets = (
            np.concatenate([getattr(doubts, name) for doubts in (real, *made)])
            for name in ("whole", "parts", "targets")
        )
        look = multi_crop.fit(whole, parts, targets, multi_crop.UNSURE, self.zoom, self.neither)
        result = probabilities.copy()
        if look is not None:
            result[real.rows] = multi_crop.combined(real.whole, real.parts, look, self.neither)
        return look, result

    def _doubts(self, whole: Floats, labels: npt.NDArray[np.integer], load: Load, weight: float) -> _Doubts:
        asked = CloserLook(below=multi_crop.UNSURE, zoom=self.zoom, whole=1.0, parts=0.0, strongest=0.0)
        rows = multi_crop.doubtful(whole, asked, self.neither)
        side = asked.side(self.size)
        parts = [self.answer(multi_crop.parts(load(i, side), self.size)) for i in rows]
        count = whole.shape[1]
        shape = len(rows), multi_crop.PARTS, count
        targets = weight * np.eye(count)[labels[rows].astype(int)]
        return _Doubts(rows, whole[rows], np.array(parts, np.float32).reshape(shape), targets)


@dataclass(frozen=True, slots=True)
class _Doubts:
    """The rows worth a closer look, m of them, at first sight, in parts, and what should be said of them."""

    rows: list[int]
    whole: Floats  # (m, k)
    parts: Floats  # (m, PARTS, k)
    targets: npt.NDArray[np.float64]  # (m, k)
