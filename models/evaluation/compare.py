"""Evaluate two bundles on the same photos, and write how they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.bundle.bundle import Bundle
from models.data.dataset import Photos
from models.data.splits import Split
from models.errors import DatasetError, need
from models.evaluation import evaluate
from models.evaluation.evaluate import Measured
from models.evaluation.metrics import comparison, definitions
from models.evaluation.metrics.comparison import Comparison
from models.evaluation.report import gallery, html_page, plots, tables
from models.inference.engines import Kind
from models.labels import NEITHER
from models.progress import CountCallback


def compare(
    a: Bundle,
    b: Bundle,
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    split: Split | None = None,
    exclude: Path | None = None,
    target_precision: float = 0.995,
    engine: Kind = "tensorflow",
    progress: CountCallback | None = None,
) -> Comparison:
    """Measure two bundles on the same photos; `out` gets both evaluations and what differs.

    Their input sizes and the orders of their labels may differ. Photos of a label that only one of them has
    are left out, and a warning counts them; `neither` may be measured on both. `split` is that of A's
    training. Raises DatasetError, BundleError and PackageMissing.
    """
    check_labels(a, b)
    need("scipy", "leave out --against")
    if out is not None:
        plots.need_all()
    found, left_out = _shared(evaluate.found_in(a, folders, exclude), a, b)
    first = evaluate.run(a, found, split, target_precision, engine, progress)
    second = evaluate.run(b, found, split, target_precision, engine, progress)
    warnings = [*_seen(a, b, found, second, split), *left_out]
    second = replace(second, result=replace(second.result, warnings=warnings))
    result = comparison.contrast(first.predictions, second.predictions, first.result, second.result)
    if out is not None:
        write(result, first, second, out)
    return result


def check_labels(a: Bundle, b: Bundle) -> None:
    """Raise DatasetError unless they have a label in common, apart from `neither`."""
    if (set(a.labels) & set(b.labels)) - {NEITHER}:
        return
    known = " and ".join(f"{bundle.path} knows {', '.join(bundle.labels)}" for bundle in (a, b))
    raise DatasetError(f"these models cannot be compared: expected a label in common, but {known}")


def _shared(found: Photos, a: Bundle, b: Bundle) -> tuple[Photos, list[str]]:
    """Return the photos of labels that both have, and a warning for each class that only one has."""
    alone = {
        name: (a if name in _names(a) else b).name
        for name in found.classes
        if name != NEITHER and (name in _names(a)) != (name in _names(b))
    }
    kept = tuple(name for name in found.classes if name not in alone)
    place = {name: i for i, name in enumerate(kept)}
    photos = found.where(~np.isin(found.labels, [found.classes.index(name) for name in alone]))
    labels = np.array([place[found.classes[i]] for i in photos.labels], dtype=np.int16)
    counts = {name: sum(of_splits.values()) for name, of_splits in found.counts().items()}
    warnings = [
        f"{counts[name]:,} photos of {name} were left out: only {knows} knows them."
        for name, knows in alone.items()
        if counts[name]
    ]
    return replace(photos, classes=kept, labels=labels), warnings


def _names(bundle: Bundle) -> set[str]:
    """Return the possible names of folders of photos: a bundle's labels and their folders."""
    return {*bundle.labels, *bundle.folders.values()}


def _seen(a: Bundle, b: Bundle, found: Photos, second: Measured, split: Split | None) -> list[str]:
    """Return the warnings of B, among them if its training, with another seed, used photos A tests on."""
    made = {name: sum(counts.values()) for name, counts in b.manifest.made.data.items()}
    counts = {name: sum(of_splits.values()) for name, of_splits in found.counts().items()}
    same = [name for name, count in counts.items() if made.get(name) == count]
    if a.manifest.made.seed == b.manifest.made.seed or not same:
        return second.result.warnings
    part = f"split {split!r} of {a.name}" if split else "these photos"
    return [
        f"{b.name} was made from these photos of {', '.join(same)} with another seed, so it has trained on "
        f"some of {part}, and the comparison is in its favour."
    ]


def write(result: Comparison, first: Measured, second: Measured, out: Path) -> None:
    """Write the evaluation of A and the comparison into `out`, the evaluation of B into `out`/against."""
    evaluate.write(first, out)
    evaluate.write(second, out / "against")
    tables.write_json(out / "comparison.json", result.as_dict())
    tables.write_csv(out / "differences.csv", _difference_rows(result))
    tables.write_csv(out / "flips.csv", _flip_rows(result, first, second))
    shown = [flip.index for flip in result.flips[: gallery.MOST]]
    seen = [
        gallery.gallery_source(m.bundle, m.photos, m.predictions, m.result.at_threshold.threshold)
        for m in (first, second)
    ]
    html_page.render(out / "comparison.html", "comparison.html.j2", {
        "result": result,
        "called": comparison.names(first.bundle.name, second.bundle.name),
        "bundles": (first.bundle, second.bundle),
        "lower_is_better": _lower_is_better,
        "shots": list(zip(gallery.gallery_items(seen, shown), result.flips, strict=False)),
    })  # fmt: skip


def _lower_is_better(name: str) -> bool:
    return name.startswith(definitions.LOWER_IS_BETTER)


def _difference_rows(result: Comparison) -> Iterator[tables.Row]:
    yield "figure", "of", "a", "b", "difference", "low", "high"
    for name, d in result.differences.items():
        figure, _, of = name.partition("/")
        numbers = (d.a.value, d.b.value, d.value, d.low, d.high)
        yield figure, of, *(tables.rounded(number) for number in numbers)


def _flip_rows(result: Comparison, first: Measured, second: Measured) -> Iterator[tables.Row]:
    yield "path", "label", "right", "a", "b", "a_probability", "b_probability"
    a, b = first.predictions, second.predictions
    for flip in result.flips:
        i = flip.index
        said = (predictions.labels[int(predictions.predicted[i])] for predictions in (a, b))
        # NaN, for a label that a bundle does not know, is an empty cell
        true = (tables.rounded(float(predictions.true_probability[i])) for predictions in (a, b))
        label = a.name_of(int(a.truth[i]))
        yield tables.name_of(first.photos.paths[i]), label, flip.right, *said, *true
