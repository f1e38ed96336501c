"""Galleries of photos for pages: small pictures, the models' predictions, and heatmaps."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.bundle.bundle import Bundle
from models.bundle.write_bundle import replace
from models.data.dataset import Photos, read
from models.errors import BundleError
from models.evaluation.metrics.predictions import Predictions
from models.evaluation.report.tables import Row, name_of, write_csv
from models.images.decode import UnreadableImage, decode, fit
from models.inference import gradcam
from models.inference.gradcam import Explainer
from models.types import Pixels

log = logging.getLogger(__name__)

MOST = 24  # photos in one gallery
LONGEST = 240  # pixels
_MOST_SCORES = 4  # of one photo


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One model's prediction for a photo."""

    prediction: str
    scores: tuple[tuple[str, float], ...]  # the highest, then the true label's where it is not among them
    filed: bool
    overlay: str | None  # a data URI: the photo with the heatmap of the prediction


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """A photo in a gallery; `picture` is a data URI, None if it cannot be read any more."""

    name: str
    truth: str
    picture: str | None
    answers: tuple[ModelAnswer, ...]  # one of each model
    suspected: bool = False


@dataclass(frozen=True, slots=True)
class GallerySource:
    """A model's predictions, with the photos and the explainer to show them."""

    bundle: Bundle
    photos: Photos
    predictions: Predictions
    threshold: float
    explainer: Explainer | None


def gallery_source(
    bundle: Bundle, photos: Photos, predictions: Predictions, threshold: float
) -> GallerySource:
    """Return a model's predictions for a gallery, without overlays if its network has no spatial layer."""
    try:
        explainer = gradcam.open_explainer(bundle)
    except BundleError as error:
        log.info("no overlays: %s", error)
        explainer = None
    return GallerySource(bundle, photos, predictions, threshold, explainer)


def worst(predictions: Predictions, threshold: float, most: int = MOST) -> list[int]:
    """Return wrongly predicted photos: first the most confident of each kind of mistake, then the next.

    A kind is a pair of true and predicted label: else a hundred horses predicted as dogs would hide one cat
    among them. A photo whose label the bundle does not have is wrong if it is filed.
    """
    wrong = ~predictions.well(threshold)
    badness = np.where(predictions.known, 1 - predictions.true_probability, predictions.confidence)
    order = np.argsort(-badness, kind="stable")
    seen: dict[tuple[int, int], int] = {}
    ranked: list[tuple[int, int]] = []
    for i in order[wrong[order]].tolist():
        kind = (int(predictions.truth[i]), int(predictions.predicted[i]))
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], i))
    return [i for _, i in sorted(ranked, key=lambda item: item[0])[:most]]


def gallery_items(
    models: Sequence[GallerySource], indices: Sequence[int], suspected: frozenset[int] = frozenset()
) -> list[GalleryItem]:
    """Return photos with each model's prediction. Decodes them again, as none stays in memory."""
    first = models[0]
    answers = [_model_answers(each, indices) for each in models]
    return [
        GalleryItem(
            name_of(first.photos.paths[i]),
            first.predictions.name_of(int(first.predictions.truth[i])),
            _uri(_picture(first.photos.paths[i])),
            tuple(of_one[place] for of_one in answers),
            i in suspected,
        )
        for place, i in enumerate(indices)
    ]


def save(taken: Sequence[GalleryItem], out: Path) -> None:
    """Write the first model's mistakes: `worst.csv`, and pictures `worst/1.jpg`, `worst/1-why.jpg`, ..."""
    folder = out / "worst"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = [("number", "path", "label", "prediction", "probability", "filed")]
    for number, item in enumerate(taken, 1):
        answer = item.answers[0]
        score = round(dict(answer.scores)[answer.prediction], 6)
        rows.append((number, item.name, item.truth, answer.prediction, score, int(answer.filed)))
        for name, uri in ((f"{number}.jpg", item.picture), (f"{number}-why.jpg", answer.overlay)):
            if uri is None:
                (folder / name).unlink(missing_ok=True)  # of an earlier evaluation; no other file is touched
            else:
                replace(folder / name, base64.b64decode(uri.partition(",")[2]))
    write_csv(out / "worst.csv", rows)


def _model_answers(model: GallerySource, indices: Sequence[int]) -> list[ModelAnswer]:
    overlays = _overlays(model, indices)
    predictions, filed = (
        model.predictions,
        model.predictions.filed(model.threshold),
    )
    return [
        ModelAnswer(
            predictions.labels[int(predictions.predicted[i])],
            _scores(predictions, i),
            bool(filed[i]),
            overlay,
        )
        for i, overlay in zip(indices, overlays, strict=True)
    ]


def _scores(predictions: Predictions, index: int) -> tuple[tuple[str, float], ...]:
    row, truth = predictions.values[index], int(predictions.truth[index])
    shown = [int(i) for i in np.argsort(-row, kind="stable")[:_MOST_SCORES]]
    if truth >= 0 and truth not in shown:
        shown[-1] = truth
    return tuple((predictions.labels[i], float(row[i])) for i in shown)


def _overlays(model: GallerySource, indices: Sequence[int]) -> list[str | None]:
    explainer = model.explainer
    if explainer is None:
        return [None] * len(indices)
    result: list[str | None] = []
    for i in indices:
        path = model.photos.paths[i]
        picture = _picture(path)
        if picture is None:
            result.append(None)
            continue
        seen = decode(read(path), explainer.input_size)
        [map_] = explainer.maps(seen[None], [int(model.predictions.predicted[i])])
        result.append(_uri(gradcam.overlay(picture, map_)))
    return result


def _picture(path: bytes) -> Pixels | None:
    try:
        return fit(read(path), LONGEST)
    except (OSError, UnreadableImage) as error:
        log.warning("%s: was readable before, and is not any more: %s", name_of(path), error)
        return None


def _uri(picture: Pixels | None) -> str | None:
    """Return a picture as a data URI of a new JPEG: no bytes of the file itself are in the page."""
    if picture is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
