"""Evaluate a bundle on folders of labelled photos: figures, tables, plots and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle
from models.data.batches import batches, decoded
from models.data.dataset import Photos, read_excluded, scan
from models.data.splits import Split
from models.errors import DatasetError
from models.evaluation import synthetic_scenes
from models.evaluation.metrics import image_sizes
from models.evaluation.metrics.curves import curves
from models.evaluation.metrics.figures import Evaluation, measure
from models.evaluation.metrics.label_errors import suspects
from models.evaluation.metrics.predictions import Predictions
from models.evaluation.report import gallery, html_page, plots, tables
from models.inference.box_crops import CropInference, of_bundle
from models.inference.detector import open_detector
from models.inference.engines import Kind, open_engine
from models.labels import NEITHER
from models.progress import CountCallback
from models.types import Pixels, PredictFn


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A bundle, the photos it was measured on with labels in its order, its predictions and figures."""

    bundle: Bundle
    photos: Photos
    predictions: Predictions
    result: Evaluation


def evaluate(
    bundle: Bundle,
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    split: Split | None = None,
    exclude: Path | None = None,
    target_precision: float = 0.995,
    scenes: bool = False,
    engine: Kind = "tensorflow",
    progress: CountCallback | None = None,
) -> Evaluation:
    """Measure a bundle on photos, one subfolder for each label, and write the figures into `out`.

    A subfolder may have the name of the label or of its folder. `split` selects the photos of one split of
    the bundle's training: `test` reproduces the figures in the bundle. `exclude` is a CSV of photos to leave
    out, as in training; `scenes` adds figures on synthetic scenes. Raises
    DatasetError, BundleError and, with `out`, PackageMissing.
    """
    if out is not None:
        plots.need_all()
    found = found_in(bundle, folders, exclude)
    measured = run(bundle, found, split, target_precision, engine, progress)
    if scenes:
        measured = _with_scenes(measured, engine)
    if out is not None:
        write(measured, out)
    return measured.result


def found_in(bundle: Bundle, folders: Sequence[Path], exclude: Path | None) -> Photos:
    """Find all photos, and split them as the bundle's training does. Raises DatasetError."""
    made = bundle.manifest.made
    excluded = read_excluded(exclude) if exclude else None
    return scan(folders, made.seed, excluded=excluded, hold_out=bool(made.held_out_sources))


def _warnings(bundle: Bundle, found: Photos, split: Split | None) -> list[str]:
    """Warn if the bundle was trained on these photos, which equal counts in each split show."""
    made = bundle.manifest.made.data
    same = [
        name for name, counts in found.counts().items() if any(counts.values()) and made.get(name) == counts
    ]
    if not same or split == "test":
        return []
    part = "it chose its thresholds by" if split == "calibration" else "it has trained on"
    return [
        f"{bundle.name} was made from these photos of {', '.join(same)}: {part} them, so the figures are "
        "better than on photos that it has not seen, and few wrong labels are found. Use --split test."
    ]


def run(
    bundle: Bundle,
    found: Photos,
    split: Split | None,
    target_precision: float,
    engine: Kind,
    progress: CountCallback | None,
) -> Measured:
    """Predict one split of the photos, and measure it. Raises DatasetError, BundleError."""
    photos = relabelled(found.split(split) if split else found, bundle)
    if not len(photos):
        raise DatasetError(f"no photos of split {split!r} to measure on")
    probabilities = predict(bundle, open_engine(bundle, engine).predict, photos.paths, progress)
    places = image_sizes.places(photos.paths)
    predictions = Predictions.of(bundle, photos.labels, probabilities)
    result = dataclasses.replace(
        measure(bundle, photos, probabilities, target_precision, places),
        split=split,
        set_aside=len(found.set_aside),
        warnings=_warnings(bundle, found, split),
    )
    return Measured(bundle, photos, predictions, result)


def _with_scenes(measured: Measured, engine: Kind) -> Measured:
    bundle, result = measured.bundle, measured.result
    predict_fn = open_engine(bundle, engine).predict
    found = synthetic_scenes.measure(bundle, predict_fn, measured.photos, result.at_threshold.threshold)
    result = dataclasses.replace(result, measured={**result.measured, **found})
    return dataclasses.replace(measured, result=result)


def relabelled(photos: Photos, bundle: Bundle) -> Photos:
    """Return the photos with `labels` in the bundle's order.

    Raises DatasetError for a class that the bundle lacks. Photos of `neither` get label -1 where the bundle
    has no such label.
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
    return dataclasses.replace(photos, classes=bundle.labels, labels=labels)


def predict(
    bundle: Bundle, predict_fn: PredictFn, paths: Sequence[bytes], progress: CountCallback | None = None
) -> npt.NDArray[np.float32]:
    """Return probabilities (n, k) for photos in order, with multi-crop inference if the bundle has it.

    `predict_fn` is the `predict` of an engine. Raises BundleError.
    """
    return predict_with(of_bundle(bundle, open_detector(bundle)), predict_fn, paths, progress)


def predict_with(
    crops: CropInference,
    predict_fn: PredictFn,
    paths: Sequence[bytes],
    progress: CountCallback | None = None,
) -> npt.NDArray[np.float32]:
    """Return probabilities (n, k) as `predict` does, without a bundle."""
    rows: list[npt.NDArray[np.float32]] = []
    done = 0
    for images in batches(paths, crops.size):
        load = reader(paths[done : done + len(images)])
        rows.append(crops.refine(predict_fn, predict_fn(images), load).probabilities)
        done += len(images)
        if progress:
            progress(done, len(paths))
    return np.concatenate(rows)


def reader(paths: Sequence[bytes]) -> Callable[[int, int], Pixels]:
    """Return a function that decodes photo i of `paths` to a given side in pixels."""
    return lambda index, side: decoded(paths[index], side)


def write(measured: Measured, out: Path) -> None:
    """Write tables, plots, pictures and the page into a folder."""
    bundle, photos, predictions, result = (
        measured.bundle,
        measured.photos,
        measured.predictions,
        measured.result,
    )
    drawn, suspected = curves(predictions), suspects(predictions)
    tables.write(result, photos, predictions, drawn, suspected, out)
    seen = gallery.gallery_source(bundle, photos, predictions, result.at_threshold.threshold)
    doubted = frozenset(item.index for item in suspected)
    mistakes = gallery.worst(predictions, result.at_threshold.threshold)
    worst = gallery.gallery_items([seen], mistakes, doubted)
    gallery.save(worst, out)
    shown = [item.index for item in suspected[: gallery.MOST]]
    html_page.write(result, bundle, drawn, worst, gallery.gallery_items([seen], shown), len(suspected), out)
