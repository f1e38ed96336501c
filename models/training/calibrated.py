"""Calibrate a network in one precision: temperature, multi-crop weights, thresholds, self-test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import calibration
from models.bundle.manifest import Detector
from models.data.batches import batches
from models.data.dataset import Photos
from models.errors import DatasetError
from models.evaluation import evaluate
from models.inference.box_crops import CropInference, DetectFn
from models.inference.outputs import NetworkOutputs
from models.inference.record_self_test import record_self_test
from models.labels import NEITHER
from models.networks.architectures import Network
from models.progress import CountCallback, ProgressCallback, StageProgress
from models.training import source_cross_validation
from models.training.linear_probe import LinearHead
from models.training.multi_crop_fit import MultiCropFit
from models.types import Float32, PredictFn, Probabilities


@dataclass(frozen=True, slots=True)
class Detection:
    """A detector and how its boxes are used."""

    rule: Detector
    detect: DetectFn


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A network's calibration in one precision, and its predictions with that temperature."""

    outputs: NetworkOutputs
    temperature: float
    crops: CropInference
    table: dict[str, Any]  # `calibration` of bundle.yaml
    accuracy_with_folder: float  # share of the calibration photos, see `with_folder`
    predict: PredictFn  # without crops

    @property
    def section(self) -> dict[str, Any]:
        """What bundle.yaml says for each precision, but for its figures."""
        return {
            "calibration": self.table,
            "closer_look": self.crops.corners.model_dump() if self.crops.corners else None,
            "self_test": record_self_test(self.predict, self.outputs.size, self.outputs.precision),
            "figures": {},
        }


def calibrated(
    outputs: NetworkOutputs,
    network: Network,
    photos: Photos,
    folders: Mapping[str, str],
    heads: Mapping[str, LinearHead],
    zoom: float,
    detection: Detection | None,
    progress: ProgressCallback,
) -> Calibrated:
    """Fit to photos that did not train, in this order: temperature, multi-crop weights, thresholds.

    `heads` predict the photos of `neither` of the source that each was fitted without. With a `detection`,
    crops are those of its boxes. Raises DatasetError.
    """
    if not len(photos):
        raise DatasetError("no photos left for calibrating: expected more of each class")
    values, truth = (
        _logits(outputs, photos, StageProgress("calibrating", progress)),
        photos.labels.astype(int),
    )
    rule, detect = (detection.rule, detection.detect) if detection else (None, None)
    temperature = calibration.fit_temperature(values, truth)
    probabilities = calibration.softmax(values, temperature).astype(np.float32)
    predict, crop = outputs.predict_fn(temperature), None
    neither = photos.classes.index(NEITHER) if NEITHER in photos.classes else None
    columns = [photos.classes.index(label) for label in folders]
    if zoom > 1:
        fit = MultiCropFit(predict, outputs.size, zoom, columns, neither, rule, detect)
        crop, probabilities = fit.fitted(photos, probabilities)
    crops = CropInference(crop, outputs.size, neither, columns, rule, detect)
    if detection and crop:
        probabilities = evaluate.predict_with(crops, predict, photos.paths)
    rows, seen = source_cross_validation.unseen_source_predictions(
        network, outputs, photos, heads, temperature, crops
    )
    probabilities[rows] = seen
    table = {
        "temperature": temperature,
        "photos": len(truth),
        "bound": calibration.BOUND,
        "thresholds": [e.model_dump() for e in calibration.thresholds(probabilities, truth, columns)],
    }
    return Calibrated(outputs, temperature, crops, table, _accuracy(probabilities, truth, columns), predict)


def _logits(outputs: NetworkOutputs, photos: Photos, progress: CountCallback) -> Float32:
    """Return the logits (n, k) of photos in order."""
    parts: list[Float32] = []
    done = 0
    for images in batches(photos.paths, outputs.size):
        parts.append(outputs.run(images)[0])
        done += len(images)
        progress(done, len(photos))
    return np.concatenate(parts)


def _accuracy(probabilities: Probabilities, truth: np.ndarray, columns: list[int]) -> float:
    """Return the share of the photos with a folder whose likeliest label with a folder is right."""
    shown = np.isin(truth, columns)
    predicted = (
        np.array(columns)[probabilities[shown][:, columns].argmax(axis=1)] if columns else truth[shown]
    )
    return float((predicted == truth[shown]).mean()) if shown.any() else 1.0
