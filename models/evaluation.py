"""Measure a bundle on labelled photos that it has not been made from."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import calibration
from models.bundle import NEITHER, Bundle, Figure, replace
from models.dataset import DatasetError, Photos, read_wrong, scan
from models.engines import Engine, Kind, open_engine
from models.feeding import batches
from models.splits import Split

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `count` cases with Wilson's 95% interval; value None where nothing was counted."""

    value: float | None
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well one class is told from the others. F1 is the harmonic mean of the other two."""

    precision: Share
    recall: Share
    f1: float | None


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What filing costs and gives at the threshold of a promised precision."""

    target_precision: float
    threshold: float
    precision: Share  # of the filed photos that show a class with a folder, the share in the right one
    coverage: Share  # of the photos that have a folder, the share filed
    neither_filed: Share  # of the photos of `neither`, the share filed all the same


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured on one set of photos.

    `accuracy`, `classes`, `log_loss` and `ece` are over all labels of the bundle; `accuracy_with_folder`
    asks of photos that have a folder whether the best label with a folder is right.
    `confusion[true][predicted]` counts.
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

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return asdict(self)

    def figures(self) -> dict[str, Figure]:
        """Return the headline figures, as a bundle keeps them."""
        at = self.at_threshold
        shares = {
            "accuracy": self.accuracy,
            "accuracy_with_folder": self.accuracy_with_folder,
            "precision_at_threshold": at.precision,
            "coverage_at_threshold": at.coverage,
            "neither_filed_at_threshold": at.neither_filed,
        }
        plain = {
            "log_loss": self.log_loss, "ece": self.ece, "target_precision": at.target_precision,
            "threshold": at.threshold, "neither_auroc": self.neither_auroc,
            "neither_fpr_at_95_tpr": self.neither_fpr_at_95_tpr,
        }  # fmt: skip
        result = {
            name: Figure(value=s.value, low=s.low, high=s.high, count=s.count)
            for name, s in shares.items()
            if s.value is not None
        }
        return result | {n: Figure(value=v, count=self.photos) for n, v in plain.items() if v is not None}


def evaluate(
    bundle: Bundle,
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    split: Split | None = None,
    exclude: Path | None = None,
    target_precision: float = 0.995,
    engine: Kind = "tensorflow",
    progress: Report | None = None,
) -> Evaluation:
    """Measure a bundle on photos, one subfolder for each label, and write the figures into `out`.

    A subfolder may also be called like the label's folder. `split` keeps to the part of the photos that
    training with the same seed put there: `test` gives the figures in the bundle again. `exclude` names
    photos to leave out, as in training. Raises DatasetError and BundleError.
    """
    found = scan(folders, bundle.manifest.made.seed, wrong=read_wrong(exclude) if exclude else None)
    photos = relabelled(found.split(split) if split else found, bundle)
    if not len(photos):
        raise DatasetError(f"no photos of split {split!r} to measure on")
    probabilities = predict(open_engine(bundle, engine), photos.paths, bundle.input_size, progress)
    result = measure(bundle, photos, probabilities, target_precision)
    if out is not None:
        write(result, photos, probabilities, bundle, out)
    return result


def relabelled(photos: Photos, bundle: Bundle) -> Photos:
    """Return the photos with `labels` in the bundle's order.

    Raises DatasetError for a class the bundle lacks. `neither` may be measured on a bundle that does not
    know it; those photos get label -1.
    """
    names = {folder: label for label, folder in bundle.folders.items()} | {
        label: label for label in bundle.labels
    }
    unknown = [name for name in photos.classes if name not in names and name != NEITHER]
    if unknown:
        raise DatasetError(
            f"class {unknown[0]!r} is not one of the bundle's: expected {', '.join(bundle.labels)}"
        )
    order = [bundle.labels.index(names[n]) if n in names else -1 for n in photos.classes]
    labels = np.array(order, dtype=np.int16)[photos.labels]
    return Photos(
        bundle.labels, photos.paths, labels, photos.splits, photos.sources, photos.held_out, photos.set_aside
    )


def predict(
    engine: Engine, paths: Sequence[bytes], size: int, progress: Report | None = None
) -> npt.NDArray[np.float32]:
    """Return an engine's probabilities (n, k) for photos in order."""
    rows: list[npt.NDArray[np.float32]] = []
    done = 0
    for images in batches(paths, size):
        rows.append(engine.predict(images))
        done += len(images)
        if progress:
            progress(done, len(paths))
    return np.concatenate(rows)


def measure(
    bundle: Bundle, photos: Photos, probabilities: npt.NDArray[np.float32], target_precision: float
) -> Evaluation:
    """Compute every figure from probabilities (n, k) and labels in the bundle's order, -1 for none."""
    labels = photos.labels.astype(int)
    known = labels >= 0
    values, truth = probabilities[known].astype(float), labels[known]
    predicted = values.argmax(axis=1)
    foldered = np.isin(truth, bundle.with_folder)
    best, _, _ = calibration.predictions(values, bundle.with_folder)
    auroc, fpr = _novelty(bundle, probabilities.astype(float), labels)
    return Evaluation(
        bundle=bundle.name,
        sha256=bundle.sha256,
        photos=len(labels),
        accuracy=_share(predicted == truth),
        accuracy_with_folder=_share((best == truth)[foldered]),
        classes={name: _class_figures(truth == i, predicted == i) for i, name in enumerate(bundle.labels)},
        log_loss=_log_loss(values, truth),
        log_loss_with_folder=_log_loss(values[foldered], truth[foldered]),
        ece=calibration.expected_calibration_error(values.max(axis=1), predicted == truth),
        confusion={
            a: {b: int(((truth == i) & (predicted == j)).sum()) for j, b in enumerate(bundle.labels)}
            for i, a in enumerate(bundle.labels)
        },
        at_threshold=_at_threshold(bundle, probabilities.astype(float), labels, target_precision),
        neither_auroc=auroc,
        neither_fpr_at_95_tpr=fpr,
        recall_by_source=_by_source(bundle, photos, probabilities),
    )


def _log_loss(values: npt.NDArray[np.float64], truth: npt.NDArray[np.int_]) -> float | None:
    return calibration.log_loss(values, truth) if len(truth) else None


def _share(hits: npt.NDArray[np.bool_]) -> Share:
    successes, count = int(hits.sum()), len(hits)
    low, high = calibration.wilson(successes, count)
    return Share(successes / count if count else None, low, high, count)


def _class_figures(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]) -> ClassFigures:
    both, either = int((truth & predicted).sum()), int(truth.sum() + predicted.sum())
    return ClassFigures(
        _share(truth[predicted]), _share(predicted[truth]), 2 * both / either if either else None
    )


def _at_threshold(
    bundle: Bundle, values: npt.NDArray[np.float64], labels: npt.NDArray[np.int_], target: float
) -> AtThreshold:
    threshold = bundle.threshold(target)
    best, confidence, eligible = calibration.predictions(values, bundle.with_folder)
    filed = eligible & (confidence >= threshold)
    foldered = np.isin(labels, bundle.with_folder)
    return AtThreshold(
        target_precision=target,
        threshold=threshold,
        precision=_share((best == labels)[filed & foldered]),
        coverage=_share(filed[foldered]),
        neither_filed=_share(filed[~foldered]),
    )


def _novelty(
    bundle: Bundle, values: npt.NDArray[np.float64], labels: npt.NDArray[np.int_]
) -> tuple[float | None, float | None]:
    """Return the AUROC of `neither` against the rest, and the share of it let in when 95% of the rest are."""
    foldered = np.isin(labels, bundle.with_folder)
    novelty = values[:, bundle.labels.index(NEITHER)] if NEITHER in bundle.labels else 1 - values.max(axis=1)
    inside, outside = novelty[foldered], novelty[~foldered]
    if not len(inside) or not len(outside):
        return None, None
    return calibration.auroc(outside, inside), float((outside <= np.quantile(inside, 0.95)).mean())


def _by_source(bundle: Bundle, photos: Photos, probabilities: npt.NDArray[np.float32]) -> dict[str, Share]:
    right = probabilities.argmax(axis=1) == photos.labels
    names = np.array([
        f"{bundle.labels[label] if label >= 0 else NEITHER}/{source}".rstrip("/")
        for label, source in zip(photos.labels, photos.sources, strict=True)
    ])  # fmt: skip
    return {str(name): _share(right[names == name]) for name in np.unique(names)}


def write(
    result: Evaluation, photos: Photos, probabilities: npt.NDArray[np.float32], bundle: Bundle, out: Path
) -> None:
    """Write evaluation.json, confusion.csv and photos.csv, a row for each photo, worst first."""
    out.mkdir(parents=True, exist_ok=True)
    replace(out / "evaluation.json", json.dumps(result.as_dict(), indent=2).encode() + b"\n")
    table: list[list[object]] = [
        ["true", *bundle.labels],
        *([name, *row.values()] for name, row in result.confusion.items()),
    ]
    replace(out / "confusion.csv", _csv(table))
    replace(out / "photos.csv", _csv(_photo_rows(photos, probabilities, bundle)))


def _photo_rows(photos: Photos, probabilities: npt.NDArray[np.float32], bundle: Bundle) -> list[list[object]]:
    true = np.where(photos.labels >= 0, probabilities[np.arange(len(photos)), photos.labels], np.nan)
    rows: list[list[object]] = [["path", "label", "prediction", *bundle.labels]]
    for index in np.argsort(true, kind="stable"):
        label, row = int(photos.labels[index]), probabilities[index]
        name = bundle.labels[label] if label >= 0 else NEITHER
        path = os.fsdecode(photos.paths[index]).encode("utf-8", "backslashreplace").decode()
        rows.append([path, name, bundle.labels[int(row.argmax())], *(round(float(p), 6) for p in row)])
    return rows


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def summary(result: Evaluation) -> Mapping[str, float | None]:
    """Return the few figures that fit on a line."""
    at = result.at_threshold
    return {
        "accuracy": result.accuracy.value,
        "log_loss": result.log_loss,
        "ece": result.ece,
        "coverage": at.coverage.value,
        "precision": at.precision.value,
        "neither_filed": at.neither_filed.value,
        "neither_auroc": result.neither_auroc,
    }
