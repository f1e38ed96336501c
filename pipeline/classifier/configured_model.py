"""Load the model that the settings name; return its folders, its policy, its classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from models.errors import DatasetError
from models.inference import imagenet_bundle
from models.inference.engines import Kind, answering
from models.labels import check_folders
from pipeline.classifier import own_threshold
from pipeline.classifier.client import ProcessClassifier
from pipeline.config import Settings
from pipeline.decision import FAILED, UNCERTAIN, Policy
from pipeline.errors import ModelError, SettingsError, translated


def load_bundle(settings: Settings) -> Bundle:
    """Load the bundle that the settings name, to file photos with, checked but for its self-test.

    Raises ModelError, also where the model has no folders, or one that the worker cannot use.
    """
    bundle = open_bundle(settings.model, (settings.base,), settings.engine)
    if not bundle.folders:
        raise ModelError(
            f"model: {settings.model}: it labels photos and has no folders to file them in; "
            "use it with `pawsort classify --model`, or choose another"
        )
    try:
        check_folders(bundle.folders)
    except DatasetError as error:
        raise ModelError(f"model: {settings.model}: train it again: {error}") from error
    return bundle


def open_bundle(name: str, bases: Sequence[Path], engine: Kind, weights: Path | None = None) -> Bundle:
    """Load the bundle of a name, or of a path from the first of `bases`, as an engine answers with it.

    Raises ModelError.

    `imagenet` is made when first asked for, from `weights` or a download; no other model takes these.
    """
    if weights is not None and name != imagenet_bundle.NAME:
        raise SettingsError(
            f"--weights: the model {name} has its own; only {imagenet_bundle.NAME} is given them"
        )
    with translated():
        if name == imagenet_bundle.NAME:
            return answering(imagenet_bundle.open_imagenet(weights), engine)
        return answering(bundles.load(bundles.locate(name, *bases)), engine)


def policy(settings: Settings, bundle: Bundle) -> Policy:
    """Return the folders of the bundle with the threshold that the settings ask for."""
    threshold = settings.decision.min_confidence
    if threshold is None:
        threshold = own_threshold.in_use(settings, bundle.sha256)
    if threshold is None:
        threshold = bundle.threshold(settings.decision.target_precision)
    return Policy(bundle.folders, threshold)


def worker_classifier(
    settings: Settings, bundle: Bundle, kind: type[ProcessClassifier] = ProcessClassifier
) -> ProcessClassifier:
    """Return the worker's classifier."""
    return kind(bundle.path, settings.engine, settings.limits, sha256=bundle.sha256)


def outcome_folders(bundle: Bundle) -> tuple[str, ...]:
    """Return the folders under `sorted`, in the order of reports: the classes, then uncertain and failed."""
    return (*bundle.folders.values(), UNCERTAIN, FAILED)
