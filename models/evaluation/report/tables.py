"""Write figures, curves and predictions as JSON and CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from models.bundle.write_bundle import replace
from models.data.dataset import Photos, read
from models.evaluation.metrics.curves import Curve
from models.evaluation.metrics.figures import Evaluation
from models.evaluation.metrics.label_errors import Suspect
from models.evaluation.metrics.predictions import Predictions

Row = Sequence[object]

# As `pipeline.control_characters.ESCAPED`, but for lone surrogates, which `name_of` has replaced.
_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Where formulas begin in spreadsheets; `;` separates cells in many countries.
_FORMULA = re.compile(r"(\A|;)(?=[\"']*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def write_json(path: Path, content: object) -> None:
    """Write plain values as JSON, whole."""
    replace(path, json.dumps(content, indent=2).encode() + b"\n")


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write rows, the first of them the names of the columns; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    replace(path, buffer.getvalue().encode())


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = _ESCAPED.sub(lambda match: ascii(match[0])[1:-1], value)
    return _FORMULA.sub(r"\1'", text)


def name_of(path: bytes) -> str:
    """Return a path as text; bytes that are not UTF-8 become escapes."""
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode()


def write(
    result: Evaluation,
    photos: Photos,
    predictions: Predictions,
    curves: Sequence[Curve],
    suspected: Sequence[Suspect],
    out: Path,
) -> None:
    """Write evaluation.json and a CSV each for figures, confusion, curves, photos and suspects."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "evaluation.json", result.as_dict())
    write_csv(out / "figures.csv", _figure_rows(result))
    write_csv(out / "confusion.csv", _confusion_rows(result))
    write_csv(out / "curves.csv", _curve_rows(curves))
    write_csv(out / "photos.csv", _photo_rows(photos, predictions, result))
    write_csv(out / "suspects.csv", _suspect_rows(photos, predictions, suspected))


def _figure_rows(result: Evaluation) -> Iterator[Row]:
    yield "figure", "of", "value", "low", "high", "count"
    for name, share in result.measured.items():
        figure, _, of = name.partition("/")
        yield figure, of, rounded(share.value), rounded(share.low), rounded(share.high), share.count


def _confusion_rows(result: Evaluation) -> Iterator[Row]:
    yield "true", *result.confusion
    for name, row in result.confusion.items():
        yield name, *row.values()


def _curve_rows(curves: Sequence[Curve]) -> Iterator[Row]:
    yield "curve", "of", "x", "y", "at", "low", "high", "count"
    for curve in curves:
        for p in curve.points:
            numbers = (rounded(value) for value in (p.x, p.y, p.at, p.low, p.high))
            yield curve.kind, curve.of, *numbers, p.count


def _photo_rows(photos: Photos, predictions: Predictions, result: Evaluation) -> Iterator[Row]:
    """Yield the worst first: by the probability of the true label, then those that show no label."""
    yield "path", "label", "prediction", "filed", "source", *predictions.labels
    filed = predictions.filed(result.at_threshold.threshold)
    for i in np.argsort(predictions.true_probability, kind="stable").tolist():
        label, said = (
            predictions.name_of(int(predictions.truth[i])),
            predictions.labels[int(predictions.predicted[i])],
        )
        scores = (round(float(p), 6) for p in predictions.values[i])
        yield name_of(photos.paths[i]), label, said, int(filed[i]), photos.sources[i], *scores


def _suspect_rows(photos: Photos, predictions: Predictions, suspected: Sequence[Suspect]) -> Iterator[Row]:
    """Yield the columns that `--exclude` reads, a hash and a reason, and details for people."""
    yield "sha256", "reason", "path", "label", "suggestion", "score"
    for item in suspected:
        path, (label, other) = (
            photos.paths[item.index],
            (predictions.labels[item.label], predictions.labels[item.suggestion]),
        )
        digest = hashlib.sha256(read(path)).hexdigest()
        yield digest, f"{label}, looks like {other}", name_of(path), label, other, item.score


def rounded(value: float | None) -> float | None:
    """Return a cell's value: six decimals, None for NaN."""
    return None if value is None or math.isnan(value) else round(value, 6)
