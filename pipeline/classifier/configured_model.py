"""Load the model that the settings name, in the version in force; return its folders, policy, classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from models.errors import DatasetError
from models.inference import imagenet_bundle
from models.inference.engines import Kind, answering
from models.labels import NEITHER, check_folders
from pipeline.classifier import own_threshold
from pipeline.classifier.client import ProcessClassifier
from pipeline.decision import FAILED, UNCERTAIN, Policy
from pipeline.errors import ModelError, SettingsError, translated
from pipeline.learning import versions
from pipeline.learning.in_use import answering_first
from pipeline.learning.versions import Family, Version
from pipeline.settings.config import Settings

log = logging.getLogger(__name__)

_ANSWERING = partial(answering_first, say=versions.warn_once)


def load_bundle(settings: Settings) -> Bundle:
    """Load the bundle in force of the model that the settings name, to file photos with.

    Checked but for its self-test. A learnt version that cannot be used is named in the log and replaced by
    the one before it, one that the worker has refused by that which it stays with. Raises ModelError if the
    base cannot be used, has no folders, or one that the worker cannot use.
    """
    learnt = _learnt(settings, _ANSWERING)
    return learnt[1] if learnt else load_base(settings)


def load_in_force(settings: Settings) -> tuple[Version, Bundle]:
    """Return what the worker begins with: the version in force, also one that it has refused before.

    Loaded as by `load_bundle`; if it cannot be, the latest before it.
    """
    if learnt := _learnt(settings, versions.chain_or_base):
        return learnt
    bundle = load_base(settings)
    return Version(0, bundle.name, bundle.path), bundle


def load_base(settings: Settings) -> Bundle:
    """Load the bundle that the settings name, whatever version is in force. Raises ModelError."""
    bundle = open_bundle(settings.model, (settings.base,), settings.engine)
    return with_usable_folders(bundle, f"model: {settings.model}")


def load_version(settings: Settings, version: Version) -> Bundle:
    """Load a version to file photos with, checked but for its self-test. Raises ModelError."""
    if version.number == 0:
        return load_base(settings)
    with translated():
        bundle = answering(bundles.load(version.path), settings.engine)
    if bundle.name != version.name:
        raise ModelError(f"{version.path}: its name is {bundle.name}, expected {version.name}")
    return with_usable_folders(bundle, f"version {version.name}: {version.path}")


def open_in_force(settings: Settings) -> Bundle:
    """Load the bundle in force to answer with, which may have no folders. Raises ModelError."""
    if learnt := _learnt(settings, _ANSWERING):
        return learnt[1]
    return open_bundle(settings.model, (settings.base,), settings.engine)


def _learnt(
    settings: Settings, chain: Callable[[Family], Sequence[Version]]
) -> tuple[Version, Bundle] | None:
    """Return the first learnt version of a chain that can be used, None if the base is to be used."""
    if settings.model == imagenet_bundle.NAME or not versions.has_versions(settings):
        return None
    for version in chain(versions.family(settings))[:-1]:
        try:
            return version, load_version(settings, version)
        except ModelError as error:
            log.warning("%s cannot be used; the version before it is: %s", version.name, error)
    return None


def with_usable_folders(bundle: Bundle, called: str) -> Bundle:
    """Return a bundle that photos can be filed with. Raises ModelError."""
    if not bundle.folders:
        raise ModelError(
            f"{called}: it labels photos and has no folders to file them in; "
            "use it with `pawsort classify --model`, or choose another"
        )
    try:
        check_folders(bundle.folders)
    except DatasetError as error:
        raise ModelError(f"{called}: train it again: {error}") from error
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


def refuse_class_for_neither(settings: Settings, bundle: Bundle) -> None:
    """Raise SettingsError if photos without a class would go into the folder of one."""
    folder = settings.outcomes.neither
    for label, of_class in bundle.folders.items():
        if of_class == folder and label != NEITHER:
            raise SettingsError(
                f"outcomes.neither: {folder} is the folder of {label}; choose a folder of its own"
            )


def outcome_folders(bundle: Bundle) -> tuple[str, ...]:
    """Return the folders under `sorted`, in the order of reports: the classes, then uncertain and failed."""
    return (*bundle.folders.values(), UNCERTAIN, FAILED)
