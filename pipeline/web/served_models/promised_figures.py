"""Figures of a model at the target precision of the settings, not at that of its evaluation."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from models.bundle.bundle import Bundle
from models.bundle.manifest import Figure
from models.calibration import Threshold, wilson
from pipeline.classifier.configured_model import policy
from pipeline.settings.config import Settings

USUAL = 0.995
"""The default target precision of `train`."""

SUFFIX = "_at_threshold"
"""Suffix of the names of figures that depend on the threshold."""


@dataclass(frozen=True, slots=True)
class Promise:
    """The target precision of the settings, and the `threshold` from which photos are filed for it.

    `target` is None if the settings name a threshold instead. `measured_at` is the target precision of the
    bundle's figures, and `is_measured` whether they hold for `threshold`. If not, `entry` is the row of the
    calibration table for it, None without such a row.
    """

    target: float | None
    threshold: float
    measured_at: float
    is_measured: bool
    entry: Threshold | None


def in_force(settings: Settings, bundle: Bundle) -> Promise:
    """Return the target precision and threshold of the settings, for a bundle with folders."""
    decision, threshold = settings.decision, policy(settings, bundle).threshold
    measured_at = _measured_at(bundle.manifest.made.command)
    is_measured = bundle.threshold(measured_at) == threshold
    target = decision.target_precision if decision.min_confidence is None else None
    return Promise(target, threshold, measured_at, is_measured, _entry(bundle, threshold))


def figures(bundle: Bundle, promise: Promise) -> dict[str, Figure]:
    """Return the figures of a bundle; those that depend on the threshold, at the one of the settings."""
    if promise.is_measured:
        return dict(bundle.figures)
    kept = {name: figure for name, figure in bundle.figures.items() if not name.endswith(SUFFIX)}
    return kept | (_calibrated(bundle, promise.entry) if promise.entry else {})


def _calibrated(bundle: Bundle, entry: Threshold) -> dict[str, Figure]:
    splits = (bundle.manifest.made.data.get(label, {}) for label in bundle.folders)
    count = sum(split.get("calibration", 0) for split in splits)
    low, high = wilson(round(entry.coverage * count), count)
    filed = Figure(value=entry.coverage, low=low, high=high, count=count)
    # The number of filed photos of neither is unknown, so this has no interval.
    right = Figure(value=entry.precision, count=round(entry.coverage * count))
    return {"coverage_at_threshold": filed, "filed_right_at_threshold": right}


def _entry(bundle: Bundle, threshold: float) -> Threshold | None:
    """Return the row of the calibration table with the highest threshold up to `threshold`."""
    rows = [row for row in bundle.calibration.thresholds if row.threshold <= threshold]
    return max(rows, key=lambda row: (row.threshold, row.target_precision), default=None)


def _measured_at(command: str) -> float:
    """Return the target precision in a `train` command, USUAL without one."""
    try:
        words = iter(shlex.split(command))
        for word in words:
            name, _, value = word.partition("=")
            if name == "--target-precision":
                return float(value or next(words, ""))
    except ValueError:
        pass  # not a command line of Pawsort
    return USUAL
