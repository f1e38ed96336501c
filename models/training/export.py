"""Export a fitted network as a bundle: calibrate, fit multi-crop inference, measure, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle.bundle import Bundle, compose, write
from models.bundle.manifest import SCHEMA_VERSION, Figure, MultiCrop
from models.bundle.package_versions import package_versions
from models.bundle.weights import WeightsError, pack, unpack
from models.data.dataset import Photos
from models.errors import BundleError, DatasetError
from models.evaluation import evaluate
from models.evaluation.metrics import figures, image_sizes
from models.evaluation.metrics.figures import Evaluation
from models.evaluation.report import model_card
from models.inference.record_self_test import record_self_test
from models.labels import NEITHER
from models.networks.architectures import Network, freeze
from models.networks.tf_runtime import tf
from models.progress import ProgressCallback, StageProgress
from models.training import bfloat16_check, source_cross_validation
from models.training.fine_tuning import logits
from models.training.linear_probe import FeatureSet, LinearHead
from models.training.multi_crop_fit import MultiCropFit
from models.training.options import TrainOptions
from models.types import Pixels, PredictFn, Probabilities


def export(
    options: TrainOptions,
    network: Network,
    photos: Photos,
    folders: Mapping[str, str],
    size: int,
    progress: ProgressCallback,
    features: FeatureSet | None = None,
) -> Bundle:
    """Calibrate and measure the network as it will be stored, in float16, and write the bundle.

    With the `features` of the last layer, thresholds are for unseen sources of `neither`: each
    source is predicted by a layer fitted to the others.
    """
    packed = _packed(options, network)
    network.restore(unpack(packed))
    heads = {}
    if features:
        heads = source_cross_validation.heads_by_source(features, photos.classes, options.seed)
    fitted = _calibrated(options, network, photos.split("calibration"), folders, heads, size, progress)
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": options.out.name,
        "architecture": options.architecture,
        "labels": list(photos.classes),
        "folders": dict(folders),
        "input_size": size,
        "calibration": fitted.calibration,
        "closer_look": fitted.crop.model_dump() if fitted.crop else None,
        "self_test": record_self_test(network, size, fitted.temperature),
        "figures": {},
        "made": _made(options, photos),
    }
    draft, test = compose(options.out, content, packed), photos.split("test")
    measured = _measured(draft, fitted.predict, test, options.target_precision, progress)
    content["figures"] = {name: figure.model_dump() for name, figure in measured.figures().items()}
    seen = source_cross_validation.unseen_source_predictions(
        network, test, heads, size, fitted.temperature, fitted.crop
    )[1]
    content["figures"] |= _unseen_sources(draft, seen, options.target_precision)
    bundle = write(compose(options.out, content, packed), packed)
    if check := bfloat16_check.check(bundle, test.paths, options.target_precision):
        bundle = write(compose(options.out, content | {"sketches": check.model_dump()}, packed), packed)
    model_card.write(bundle, measured)
    return bundle


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """A network's calibration, its multi-crop weights, and its predictions with the temperature."""

    temperature: float
    crop: MultiCrop | None
    calibration: dict[str, Any]  # as in bundle.yaml
    predict: PredictFn


def _calibrated(
    options: TrainOptions,
    network: Network,
    photos: Photos,
    folders: Mapping[str, str],
    heads: Mapping[str, LinearHead],
    size: int,
    progress: ProgressCallback,
) -> _Calibrated:
    """Fit to photos that did not train, in this order: temperature, multi-crop weights, thresholds."""
    values, truth = _outputs(network, photos, size, "calibrating", progress)
    temperature = calibration.fit_temperature(values, truth)
    probabilities = calibration.softmax(values, temperature).astype(np.float32)
    predict, crop = _predict_fn(network, size, temperature), None
    neither = photos.classes.index(NEITHER) if NEITHER in photos.classes else None
    columns = [photos.classes.index(label) for label in folders]
    if options.recipe.zoom > 1:
        fit = MultiCropFit(predict, size, options.recipe.zoom, columns, neither)
        crop, probabilities = fit.fitted(photos, probabilities)
    rows, seen = source_cross_validation.unseen_source_predictions(
        network, photos, heads, size, temperature, crop
    )
    probabilities[rows] = seen
    table = calibration.thresholds(probabilities, truth, columns)
    kept = {
        "temperature": temperature,
        "photos": len(truth),
        "bound": calibration.BOUND,
        "thresholds": [entry.model_dump() for entry in table],
    }
    return _Calibrated(temperature, crop, kept, predict)


def _packed(options: TrainOptions, network: Network) -> bytes:
    try:
        return pack(network.arrays)
    except WeightsError as error:
        raise BundleError(
            f"{options.out}: training has diverged: {error}. Try a lower learning rate."
        ) from error


def _outputs(
    network: Network, photos: Photos, size: int, stage: str, progress: ProgressCallback
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int_]]:
    if not len(photos):
        raise DatasetError(f"no photos left for {stage}: expected more of each class")
    return logits(network, photos, size, StageProgress(stage, progress)), photos.labels.astype(int)


def _predict_fn(network: Network, size: int, temperature: float) -> PredictFn:
    """Return the predictions of the stored network for uint8 photos (n, size, size, 3)."""
    frozen = freeze(network.model, size, temperature)

    def predict(images: Pixels) -> Probabilities:
        (probabilities,) = frozen(tf.constant(images))
        result: Probabilities = probabilities.numpy()
        return result

    return predict


def _measured(
    draft: Bundle, predict: PredictFn, photos: Photos, target: float, progress: ProgressCallback
) -> Evaluation:
    if not len(photos):
        raise DatasetError("no photos left for measuring: expected more of each class")
    count = StageProgress("measuring", progress)
    probabilities = evaluate.predict(draft, predict, photos.paths, count)
    places = image_sizes.places(photos.paths)
    result = figures.measure(draft, photos, probabilities, target, places)
    return replace(result, split="test")


def _unseen_sources(draft: Bundle, probabilities: Probabilities, target: float) -> dict[str, dict[str, Any]]:
    """Return the share of photos of unseen sources of `neither` that are filed at the threshold."""
    if not len(probabilities):
        return {}
    _, confidence, eligible = calibration.predictions(probabilities, draft.with_folder)
    filed = int((eligible & (confidence >= draft.threshold(target))).sum())
    low, high = calibration.wilson(filed, len(probabilities))
    figure = Figure(value=filed / len(probabilities), low=low, high=high, count=len(probabilities))
    return {"unseen_neither_filed_at_threshold": figure.model_dump()}


def _made(options: TrainOptions, photos: Photos) -> dict[str, Any]:
    return {
        "command": options.command,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": options.seed,
        "data": photos.counts(),
        "set_aside": len(photos.set_aside),
        "held_out_sources": dict(photos.held_out),
        "versions": package_versions(),
    }
