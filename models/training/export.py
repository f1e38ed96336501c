"""Export a fitted network as a bundle: in float32 and, if asked, in int8; each calibrated and measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from models import calibration
from models.bundle import openvino_archive, replay
from models.bundle.bundle import Bundle, load, locate
from models.bundle.manifest import EVALUATION, SCHEMA_VERSION, Figure
from models.bundle.openvino_archive import Network as OpenVinoNetwork
from models.bundle.package_versions import package_versions
from models.bundle.weights import WeightsError, pack, unpack
from models.bundle.write_bundle import compose, files_of, write
from models.data.dataset import Photos
from models.errors import BundleError, DatasetError
from models.evaluation import evaluate
from models.evaluation.metrics import figures, image_sizes
from models.evaluation.metrics.figures import Evaluation
from models.evaluation.report import model_card
from models.inference import collect_replay, outputs
from models.inference.detector import open_detector
from models.networks import architectures
from models.networks.architectures import Network
from models.progress import ProgressCallback, StageProgress
from models.training import source_cross_validation
from models.training.calibrated import Calibrated, Detection, calibrated
from models.training.linear_probe import FeatureSet, LinearHead
from models.training.options import TrainOptions
from models.training.quantization import quantised
from models.types import Probabilities

log = logging.getLogger(__name__)

MOST_LOST = 0.003
"""Share of photos with a folder that int8 may get wrong and float32 right; above it, int8 is left out."""


def export(
    options: TrainOptions,
    network: Network,
    photos: Photos,
    folders: Mapping[str, str],
    size: int,
    progress: ProgressCallback,
    features: FeatureSet | None = None,
) -> Bundle:
    """Calibrate and measure the network as it will be stored, and write the bundle.

    With the `features` of the last layer, thresholds are for unseen sources of `neither`: each source is
    predicted by a layer fitted to the others. Raises DatasetError, BundleError, PackageMissing.
    """
    donor = _donor(options)
    packed = _packed(options, network)
    network.restore(unpack(packed))
    heads: Mapping[str, LinearHead] = {}
    if features:
        heads = source_cross_validation.heads_by_source(features, photos.classes, options.seed)
    calibrate = partial(
        calibrated, network=network, photos=photos.split("calibration"), folders=folders, heads=heads,
        zoom=options.recipe.zoom, detection=_detection(donor), progress=progress,
    )  # fmt: skip
    fits, int8 = [calibrate(outputs.of_float32(network, size))], _int8(options, network, photos, size)
    if int8:
        fits.append(calibrate(outputs.of_int8(int8, size)))
        if not _is_as_right(options, *fits):
            fits.pop()
    sections = [fit.section for fit in fits]
    if donor and not any(section["closer_look"] for section in sections):
        log.warning(
            "%s does not use its detector: no weights of crops could be fitted, as for few photos",
            options.out,
        )
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": options.out.name,
        "architecture": options.architecture,
        "labels": list(photos.classes),
        "folders": dict(folders),
        "input_size": size,
        **sections[0],
        **({"int8": sections[1]} if len(fits) > 1 else {}),
        **({"detector": donor.manifest.detector.model_dump()} if donor and donor.manifest.detector else {}),
        "made": _made(options, photos),
    }
    archive = openvino_archive.pack(int8) if int8 and len(fits) > 1 else None
    kept = _replay(options, fits[-1], photos, progress)
    content |= {"replay": {"precision": fits[-1].outputs.precision}} if kept else {}
    files = packed, archive, _archive(donor), kept
    draft, test = compose(options.out, content, *files), photos.split("test")
    for fit, section in zip(fits, sections, strict=True):
        bundle = draft.in_precision(fit.outputs.precision)
        measured = _measured(bundle, fit, test, options.target_precision, progress)
        section["figures"] |= {name: figure.model_dump() for name, figure in measured.figures().items()}
        seen = source_cross_validation.unseen_source_predictions(
            network, fit.outputs, test, heads, fit.temperature, fit.crops
        )[1]
        section["figures"] |= _unseen_sources(bundle, seen, options.target_precision)
    written = write(compose(options.out, content | sections[0], *files), *files)
    bundle = written.in_precision(fits[-1].outputs.precision)
    model_card.write(bundle, measured)
    if (earlier := options.out / EVALUATION).exists():
        log.warning("%s has figures of the earlier model: make them again by `evaluate --out`", earlier)
    return bundle


def check_detector(options: TrainOptions, folders: Mapping[str, str]) -> None:
    """Check before a training that the new bundle can have the detector. Raises BundleError, DatasetError."""
    donor = _donor(options)
    detector = donor.manifest.detector if donor else None
    for label in detector.labels if detector else ():
        if label not in folders:
            raise DatasetError(
                f"--detector {options.detector}: it finds {label!r}, which no class of the photos is called"
            )


def _donor(options: TrainOptions) -> Bundle | None:
    """Return the bundle whose detector the new one gets. Raises BundleError if it has none."""
    if options.detector is None:
        return None
    donor = load(locate(str(options.detector), Path.cwd()))
    if donor.manifest.detector is None:
        raise BundleError(f"--detector {options.detector}: the bundle has no detector")
    return donor


def _detection(donor: Bundle | None) -> Detection | None:
    detect = open_detector(donor) if donor else None
    rule = donor.manifest.detector if donor else None
    return Detection(rule, detect) if rule and detect else None


def _archive(donor: Bundle | None) -> bytes | None:
    return files_of(donor)[2] if donor else None


def _int8(options: TrainOptions, network: Network, photos: Photos, size: int) -> OpenVinoNetwork | None:
    if not options.int8 or architectures.known(options.architecture).fitted:
        return None
    return quantised(network, photos.split("train"), size, options.seed)


def _replay(
    options: TrainOptions, fit: Calibrated, photos: Photos, progress: ProgressCallback
) -> bytes | None:
    """Return the features that `learn` fits the last layer again with; None where that is no linear layer."""
    if architectures.known(options.architecture).fitted:
        return None
    count = StageProgress("replay", progress)
    collected = collect_replay.collect(fit.outputs, fit.crops, fit.temperature, photos, options.seed, count)
    return replay.pack(collected)


def _is_as_right(options: TrainOptions, exact: Calibrated, int8: Calibrated) -> bool:
    lost = exact.accuracy_with_folder - int8.accuracy_with_folder
    if lost > MOST_LOST:
        log.warning(
            "%s has no int8 network: it gets %.1f%% more photos wrong than float32, of %.1f%% allowed",
            options.out, 100 * lost, 100 * MOST_LOST,
        )  # fmt: skip
    return lost <= MOST_LOST


def _packed(options: TrainOptions, network: Network) -> bytes:
    try:
        return pack(network.arrays)
    except WeightsError as error:
        raise BundleError(
            f"{options.out}: training has diverged: {error}. Try a lower learning rate."
        ) from error


def _measured(
    draft: Bundle, fit: Calibrated, photos: Photos, target: float, progress: ProgressCallback
) -> Evaluation:
    if not len(photos):
        raise DatasetError("no photos left for measuring: expected more of each class")
    count = StageProgress("measuring", progress)
    probabilities = evaluate.predict_with(fit.crops, fit.predict, photos.paths, count)
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
