"""From a bundle and folders of labelled photos to figures, tables, plots and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle
from models.data.batches import Pixels, batches, decoded
from models.data.dataset import Photos, read_wrong, scan
from models.data.splits import Split
from models.errors import DatasetError
from models.evaluation.metrics import image_sizes
from models.evaluation.metrics.curves import curves
from models.evaluation.metrics.figures import Evaluation, measure
from models.evaluation.metrics.label_errors import suspects
from models.evaluation.metrics.predictions import Answers
from models.evaluation.report import gallery, html_page, plots, tables
from models.evaluation.synthetic_scenes import composed as of_composed
from models.inference.engines import Kind, open_engine
from models.inference.multi_crop import look_closer
from models.labels import NEITHER

Report = Callable[[int, int], None]
Answer = Callable[[Pixels], npt.NDArray[np.float32]]


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A bundle, the photos it was measured on, with labels in its order, and what came of it."""

    bundle: Bundle
    photos: Photos
    answers: Answers
    result: Evaluation


def evaluate(
    bundle: Bundle,
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    split: Split | None = None,
    exclude: Path | None = None,
    target_precision: float = 0.995,
    composed: bool = False,
    engine: Kind = "tensorflow",
    progress: Report | None = None,
) -> Evaluation:
    """Measure a bundle on photos, one subfolder for each label, and write the figures into `out`.

    A subfolder may also be called like the label's folder. `split` keeps to the part of the photos that
    training with the same seed put there: `test` gives the figures in the bundle again. `exclude` names
    photos to leave out, as in training; `composed` adds figures on photos made of others. Raises
    DatasetError, BundleError and, with `out`, PackageMissing.
    """
    if out is not None:
        plots.need_all()
    found = found_in(bundle, folders, exclude)
    measured = run(bundle, found, split, target_precision, engine, progress)
    if composed:
        measured = _with_composed(measured, engine)
    if out is not None:
        write(measured, out)
    return measured.result


def found_in(bundle: Bundle, folders: Sequence[Path], exclude: Path | None) -> Photos:
    """Return all photos, split as the bundle's training would. Raises DatasetError."""
    made = bundle.manifest.made
    wrong = read_wrong(exclude) if exclude else None
    return scan(folders, made.seed, wrong=wrong, hold_out=bool(made.held_out_sources))


def _warnings(bundle: Bundle, found: Photos, split: Split | None) -> list[str]:
    """Say so where the bundle was made from these photos: as many of a class in each split tell."""
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
    progress: Report | None,
) -> Measured:
    """Let a bundle answer for one split of the photos, and measure it. Raises DatasetError, BundleError."""
    photos = relabelled(found.split(split) if split else found, bundle)
    if not len(photos):
        raise DatasetError(f"no photos of split {split!r} to measure on")
    probabilities = predict(bundle, open_engine(bundle, engine).predict, photos.paths, progress)
    places = image_sizes.places(photos.paths)
    answers = Answers.of(bundle, photos.labels, probabilities)
    result = dataclasses.replace(
        measure(bundle, photos, probabilities, target_precision, places),
        split=split,
        set_aside=len(found.set_aside),
        warnings=_warnings(bundle, found, split),
    )
    return Measured(bundle, photos, answers, result)


def _with_composed(measured: Measured, engine: Kind) -> Measured:
    bundle, result = measured.bundle, measured.result
    answer = open_engine(bundle, engine).predict
    found = of_composed(bundle, answer, measured.photos, result.at_threshold.threshold)
    result = dataclasses.replace(result, measured={**result.measured, **found})
    return dataclasses.replace(measured, result=result)


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
    return dataclasses.replace(photos, classes=bundle.labels, labels=labels)


def predict(
    bundle: Bundle, answer: Answer, paths: Sequence[bytes], progress: Report | None = None
) -> npt.NDArray[np.float32]:
    """Return probabilities (n, k) for photos in order, looking closer where the bundle says so.

    `answer` gives them for uint8 photos (n, size, size, 3), as an engine's `predict` does.
    """
    rows: list[npt.NDArray[np.float32]] = []
    done = 0
    for images in batches(paths, bundle.input_size):
        first = answer(images)
        if look := bundle.closer_look:
            part = paths[done : done + len(images)]
            load = reader(part)
            first = look_closer(answer, first, look, bundle.input_size, load, neither=bundle.neither)
        rows.append(first)
        done += len(images)
        if progress:
            progress(done, len(paths))
    return np.concatenate(rows)


def reader(paths: Sequence[bytes]) -> Callable[[int, int], Pixels]:
    """Return what decodes photo i of `paths` to a side of so many pixels."""
    return lambda index, side: decoded(paths[index], side)


def write(measured: Measured, out: Path) -> None:
    """Write everything into a folder."""
    bundle, photos, answers, result = measured.bundle, measured.photos, measured.answers, measured.result
    drawn, suspected = curves(answers), suspects(answers)
    tables.write(result, photos, answers, drawn, suspected, out)
    seen = gallery.witness(bundle, photos, answers, result.at_threshold.threshold)
    doubted = frozenset(item.index for item in suspected)
    mistakes = gallery.worst(answers, result.at_threshold.threshold)
    worst = gallery.shots([seen], mistakes, doubted)
    gallery.save(worst, out)
    shown = [item.index for item in suspected[: gallery.MOST]]
    html_page.write(result, bundle, drawn, worst, gallery.shots([seen], shown), len(suspected), out)
