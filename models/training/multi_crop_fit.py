"""Fit the weights of multi-crop inference to photos that did not train the network, and to synthetic scenes.

Labelled photos of distant animals are rare, so some are made: photos shrunk into photos of `neither`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle.manifest import Detector, MultiCrop
from models.data.batches import decoded
from models.data.dataset import Photos
from models.evaluation.synthetic_scenes import first_predictions, small
from models.inference import multi_crop
from models.inference.box_crops import CropInference, DetectFn
from models.types import Float32, LoadFn, PredictFn, Probabilities

SYNTHETIC_WEIGHT = 0.7
"""Weight of a synthetic scene in the loss; a real photo has 1."""


@dataclass(frozen=True, slots=True)
class MultiCropFit:
    """A network and its labels, to fit multi-crop inference for."""

    predict: PredictFn
    size: int  # pixels
    zoom: float  # magnification of the crops, above 1
    with_folder: Sequence[int]  # columns
    neither: int | None  # column
    rule: Detector | None = None
    detect: DetectFn | None = None  # with `rule`: crops are those of its boxes

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
        samples = (real, *synthetic)
        whole, targets = (
            np.concatenate([getattr(s, name) for s in samples]) for name in ("whole", "targets")
        )
        crops = [seen for s in samples for seen in s.crops]
        fitted = multi_crop.fit(whole, crops, targets, multi_crop.LOW_CONFIDENCE, self.zoom, self.neither)
        result = probabilities.copy()
        if fitted is not None and real.rows:
            result[real.rows] = multi_crop.combine(real.whole, real.crops, fitted, self.neither)
        return fitted, result

    def _samples(
        self, whole: Probabilities, labels: npt.NDArray[np.integer], load: LoadFn, weight: float
    ) -> _Samples:
        settings = MultiCrop(
            below=multi_crop.LOW_CONFIDENCE, zoom=self.zoom, whole=1.0, parts=0.0, strongest=0.0
        )
        inference = CropInference(settings, self.size, self.neither, self.with_folder, self.rule, self.detect)
        counted = [crops for crops in inference.seen(self.predict, whole, load) if crops.count]
        rows = [crops.row for crops in counted]
        targets = weight * np.eye(whole.shape[1])[labels[rows].astype(int)]
        return _Samples(rows, whole[rows], [crops.predictions for crops in counted], targets)


@dataclass(frozen=True, slots=True)
class _Samples:
    """The m rows of low confidence: probabilities of photos and of their crops, and weighted targets."""

    rows: list[int]
    whole: Float32  # (m, k)
    crops: list[Probabilities]  # m of (crops of the photo, k)
    targets: npt.NDArray[np.float64]  # (m, k)
