"""Compute the figures of one bundle on one set of photos, from its probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle
from models.bundle.manifest import Figure
from models.data.dataset import Photos
from models.evaluation.metrics import definitions, intervals
from models.evaluation.metrics.intervals import Share
from models.evaluation.metrics.predictions import Predictions

SCHEMA_VERSION = 1  # of evaluation.json


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of one class against the others. F1 is the harmonic mean of precision and recall."""

    precision: Share
    recall: Share
    f1: float | None
    auroc: float | None
    average_precision: float | None


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """Precision, coverage and errors of filing at the threshold of a target precision."""

    target_precision: float
    threshold: float
    precision: Share  # of the filed photos that show a class with a folder, the share in the right one
    coverage: Share  # of the photos that have a folder, the share filed
    neither_filed: Share  # of the photos of `neither`, the share filed
    filed_right: Share  # of all filed photos, the share in the right folder


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured on one set of photos.

    `accuracy`, `classes`, `log_loss` and `ece` are over all labels of the bundle; names with `with_folder`
    are over the photos that have a folder: `accuracy_with_folder` is the share whose best label with a folder
    is right. `confusion[true][predicted]` counts. `measured` has each figure, with its interval, by a flat
    name: `accuracy`, `recall/cat`.
    """

    bundle: str
    sha256: str
    photos: int
    accuracy: Share
    accuracy_with_folder: Share
    classes: dict[str, ClassFigures]
    log_loss: float | None  # nats
    log_loss_with_folder: float | None
    ece: float
    confusion: dict[str, dict[str, int]]
    at_threshold: AtThreshold
    neither_auroc: float | None
    neither_fpr_at_95_tpr: float | None
    recall_by_source: dict[str, Share]
    at_targets: list[AtThreshold]  # for each precision that the bundle has a threshold for
    measured: dict[str, Share]
    split: str | None = None
    set_aside: int = 0  # files that were not used: not photos, or duplicates
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        content = {name: value for name, value in asdict(self).items() if name != "measured"}
        figures = {name: asdict(share) for name, share in self.measured.items()}
        return {"schema_version": SCHEMA_VERSION, **content, "figures": figures}

    def figures(self) -> dict[str, Figure]:
        """Return the headline figures, as a bundle keeps them."""
        shares = {name: self.measured[name] for name in _HEADLINES if name in self.measured}
        result = {
            name: Figure(value=s.value, low=s.low, high=s.high, count=s.count)
            for name, s in shares.items()
            if s.value is not None
        }
        at = self.at_threshold
        plain = {"target_precision": at.target_precision, "threshold": at.threshold}
        return result | {name: Figure(value=value, count=self.photos) for name, value in plain.items()}


_HEADLINES = (
    "accuracy", "accuracy_with_folder", "precision_at_threshold", "coverage_at_threshold",
    "neither_filed_at_threshold", "log_loss", "log_loss_with_folder", "ece", "ece_with_folder", "aurc",
    "macro_f1", "neither_auroc", "neither_fpr_at_95_tpr",
)  # fmt: skip


def measure(
    bundle: Bundle,
    photos: Photos,
    probabilities: npt.NDArray[np.float32],
    target_precision: float,
    places: Mapping[str, Sequence[str]] | None = None,
) -> Evaluation:
    """Compute every figure from probabilities (n, k) and labels in the bundle's order, -1 for none.

    `places` are further ways to group photos beside their source: a kind, and each photo's group.
    """
    predictions = Predictions.of(bundle, photos.labels, probabilities)
    sources = _sources(predictions, photos)
    threshold = bundle.threshold(target_precision)
    measured = _measured(predictions, threshold, {"source": sources, **(places or {})})
    return Evaluation(
        bundle=bundle.name,
        sha256=bundle.sha256,
        photos=len(predictions),
        accuracy=measured["accuracy"],
        accuracy_with_folder=measured["accuracy_with_folder"],
        classes={name: _class_figures(name, measured) for name in bundle.labels},
        log_loss=measured["log_loss"].value,
        log_loss_with_folder=measured["log_loss_with_folder"].value,
        ece=measured["ece"].value or 0.0,
        confusion=_confusion(predictions),
        at_threshold=_at_threshold(predictions, target_precision, threshold),
        neither_auroc=measured["neither_auroc"].value,
        neither_fpr_at_95_tpr=measured["neither_fpr_at_95_tpr"].value,
        recall_by_source=_by_source(predictions, sources),
        at_targets=[
            _at_threshold(predictions, entry.target_precision, entry.threshold)
            for entry in bundle.calibration.thresholds
        ],
        measured=measured,
    )


def _measured(
    predictions: Predictions, threshold: float, places: Mapping[str, Sequence[str]]
) -> dict[str, Share]:
    tallies = definitions.shares(predictions, threshold) | definitions.groups(predictions, threshold, places)
    quantities = definitions.quantities(predictions)
    samples = intervals.resample({n: q.statistic for n, q in quantities.items()}, len(predictions))
    return {name: intervals.share(tally.counted) for name, tally in tallies.items()} | {
        name: intervals.quantity(
            intervals.value_of(q.statistic, len(predictions)),
            samples[name],
            q.count,
            q.bounds,
            centred=q.centred,
        )
        for name, q in quantities.items()
    }


def _class_figures(name: str, measured: Mapping[str, Share]) -> ClassFigures:
    return ClassFigures(
        measured[f"precision/{name}"],
        measured[f"recall/{name}"],
        measured[f"f1/{name}"].value,
        measured[f"auroc/{name}"].value,
        measured[f"average_precision/{name}"].value,
    )


def _at_threshold(predictions: Predictions, target: float, threshold: float) -> AtThreshold:
    found = {
        name: intervals.share(t.counted) for name, t in definitions.shares(predictions, threshold).items()
    }
    return AtThreshold(
        target_precision=target,
        threshold=threshold,
        precision=found["precision_at_threshold"],
        coverage=found["coverage_at_threshold"],
        neither_filed=found["neither_filed_at_threshold"],
        filed_right=found["filed_right_at_threshold"],
    )


def _confusion(predictions: Predictions) -> dict[str, dict[str, int]]:
    size = len(predictions.labels)
    pairs = predictions.truth[predictions.known] * size + predictions.predicted[predictions.known]
    table = np.bincount(pairs, minlength=size * size).reshape(size, size).tolist()
    return {
        a: dict(zip(predictions.labels, row, strict=True))
        for a, row in zip(predictions.labels, table, strict=True)
    }


def _sources(predictions: Predictions, photos: Photos) -> list[str]:
    return [
        f"{predictions.name_of(int(label))}/{source}".rstrip("/")
        for label, source in zip(photos.labels, photos.sources, strict=True)
    ]


def _by_source(predictions: Predictions, sources: Sequence[str]) -> dict[str, Share]:
    names = np.array(sources, dtype=object)
    return {name: intervals.share(predictions.right[names == name]) for name in sorted(set(sources))}


def summary(result: Evaluation) -> Mapping[str, Share]:
    """Return the few figures that fit on a screen, by name."""
    names = (
        "accuracy", "accuracy_with_folder", "log_loss", "log_loss_with_folder", "ece",
        "coverage_at_threshold", "precision_at_threshold", "neither_filed_at_threshold",
        "neither_auroc", "neither_fpr_at_95_tpr",
    )  # fmt: skip
    return {name: result.measured[name] for name in names if name in result.measured}
