"""Fit the weights of multi-crop inference to photos that did not train the network, and to synthetic scenes.

Labelled photos of distant animals are rare, so some are made: photos shrunk into photos of `neither`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle.manifest import MultiCrop
from models.data.batches import decoded
from models.data.dataset import Photos
from models.evaluation.synthetic_scenes import first_predictions, small
from models.inference import multi_crop
from models.types import Float32, LoadFn, PredictFn, Probabilities

SYNTHETIC_WEIGHT = 0.3
"""Weight of a synthetic scene in the loss; a real photo has 1."""


@dataclass(frozen=True, slots=True)
class MultiCropFit:
    """A network and its labels, to fit multi-crop inference for."""

    predict: PredictFn
    size: int  # pixels
    zoom: float  # magnification of the crops, above 1
    with_folder: Sequence[int]  # columns
    neither: int | None  # column

    def fitted(self, photos: Photos, probabilities: Probabilities) -> tuple[MultiCrop | None, Probabilities]:
        """Return the fitted weights, None where crops gain nothing, and the probabilities (n, k) with them.

        `probabilities` are those of whole photos; photos of `neither` in `photos` are the backgrounds of
        synthetic scenes.
        """
        real = self._samples(
            probabilities, photos.labels, lambda i, side: decoded(photos.paths[i], side), 1.0
        )
        synthetic = [
            self._samples(
                first_predictions(self.predict, load, len(labels), self.size), labels, load, SYNTHETIC_WEIGHT
            )
            for _, labels, load in small(photos, self.with_folder, self.neither)
        ]
        whole, crops, targets = (
            np.concatenate([getattr(samples, name) for samples in (real, *synthetic)])
            for name in ("whole", "crops", "targets")
        )
        fitted = multi_crop.fit(whole, crops, targets, multi_crop.LOW_CONFIDENCE, self.zoom, self.neither)
        result = probabilities.copy()
        if fitted is not None:
            result[real.rows] = multi_crop.combine(real.whole, real.crops, fitted, self.neither)
        return fitted, result

    def _samples(
        self, whole: Probabilities, labels: npt.NDArray[np.integer], load: LoadFn, weight: float
    ) -> _Samples:
        settings = MultiCrop(
            below=multi_crop.LOW_CONFIDENCE, zoom=self.zoom, whole=1.0, parts=0.0, strongest=0.0
        )
        rows = multi_crop.low_confidence(whole, settings, self.neither)
        side = settings.side(self.size)
        crops = [self.predict(multi_crop.corner_crops(load(i, side), self.size)) for i in rows]
        count = whole.shape[1]
        shape = len(rows), multi_crop.CROPS, count
        targets = weight * np.eye(count)[labels[rows].astype(int)]
        return _Samples(rows, whole[rows], np.array(crops, np.float32).reshape(shape), targets)


@dataclass(frozen=True, slots=True)
class _Samples:
    """The m rows of low confidence: probabilities of photos and of their crops, and weighted targets."""

    rows: list[int]
    whole: Float32  # (m, k)
    crops: Float32  # (m, CROPS, k)
    targets: npt.NDArray[np.float64]  # (m, k)
