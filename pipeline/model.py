"""The model that the settings choose, and what follows from it for the folders."""

from __future__ import annotations

from models import bundle as bundles
from models.bundle import Bundle
from pipeline.config import Settings
from pipeline.decision import FAILED, UNCERTAIN, Policy
from pipeline.errors import translated


def load_bundle(settings: Settings) -> Bundle:
    """Load the bundle that the settings name, checked but for its self-test. Raises ModelError."""
    with translated():
        return bundles.load(bundles.locate(settings.model, settings.base))


def policy(settings: Settings, bundle: Bundle) -> Policy:
    """Join what the bundle can and what the settings demand."""
    threshold = settings.decision.min_confidence
    if threshold is None:
        threshold = bundle.threshold(settings.decision.target_precision)
    return Policy(bundle.folders, threshold)


def outcome_folders(bundle: Bundle) -> tuple[str, ...]:
    """Name the folders under `sorted`, in the order of reports: the classes, then uncertain and failed."""
    return (*bundle.folders.values(), UNCERTAIN, FAILED)
