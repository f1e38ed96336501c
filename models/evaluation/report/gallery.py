"""Photos worth a look, small enough to stand in a page: what was said of them, and what spoke for it."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.bundle.bundle import Bundle, replace
from models.data.dataset import Photos, read
from models.errors import BundleError
from models.evaluation.metrics.predictions import Answers
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
class Said:
    """What one bundle said of a photo."""

    prediction: str
    scores: tuple[tuple[str, float], ...]  # the highest, then the true label's where it is not among them
    filed: bool
    overlay: str | None  # a data URI: what speaks for the prediction


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo in a gallery; `picture` is a data URI, None where it cannot be read any more."""

    name: str
    truth: str
    picture: str | None
    said: tuple[Said, ...]  # by each bundle
    suspected: bool = False


@dataclass(frozen=True, slots=True)
class Witness:
    """A bundle's answers, with what it takes to show and to explain them."""

    bundle: Bundle
    photos: Photos
    answers: Answers
    threshold: float
    explainer: Explainer | None


def witness(bundle: Bundle, photos: Photos, answers: Answers, threshold: float) -> Witness:
    """Make a witness; one whose network has no places gets no overlays."""
    try:
        explainer = gradcam.open_explainer(bundle)
    except BundleError as error:
        log.info("no overlays: %s", error)
        explainer = None
    return Witness(bundle, photos, answers, threshold, explainer)


def worst(answers: Answers, threshold: float, most: int = MOST) -> list[int]:
    """Return the photos that are answered wrongly: first the surest of each kind of mistake, then the next.

    A kind is a true label and an answer: else a hundred horses called dogs would hide the one cat among them.
    A photo of no label that the bundle knows is answered wrongly where it is filed.
    """
    wrong = ~answers.well(threshold)
    badness = np.where(answers.known, 1 - answers.true_probability, answers.confidence)
    order = np.argsort(-badness, kind="stable")
    seen: dict[tuple[int, int], int] = {}
    ranked: list[tuple[int, int]] = []
    for i in order[wrong[order]].tolist():
        kind = (int(answers.truth[i]), int(answers.predicted[i]))
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], i))
    return [i for _, i in sorted(ranked, key=lambda item: item[0])[:most]]


def shots(
    witnesses: Sequence[Witness], indices: Sequence[int], suspected: frozenset[int] = frozenset()
) -> list[Shot]:
    """Return photos as the witnesses saw them. They are decoded again: none is kept while measuring."""
    first = witnesses[0]
    said = [_said(each, indices) for each in witnesses]
    return [
        Shot(
            name_of(first.photos.paths[i]),
            first.answers.name_of(int(first.answers.truth[i])),
            _uri(_picture(first.photos.paths[i])),
            tuple(of_one[place] for of_one in said),
            i in suspected,
        )
        for place, i in enumerate(indices)
    ]


def save(taken: Sequence[Shot], out: Path) -> None:
    """Write the first bundle's mistakes: `worst.csv`, and pictures `worst/1.jpg`, `worst/1-why.jpg`, ..."""
    folder = out / "worst"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = [("number", "path", "label", "prediction", "probability", "filed")]
    for number, shot in enumerate(taken, 1):
        said = shot.said[0]
        score = round(dict(said.scores)[said.prediction], 6)
        rows.append((number, shot.name, shot.truth, said.prediction, score, int(said.filed)))
        for name, uri in ((f"{number}.jpg", shot.picture), (f"{number}-why.jpg", said.overlay)):
            if uri is None:
                (folder / name).unlink(missing_ok=True)  # of an earlier evaluation; no other file is touched
            else:
                replace(folder / name, base64.b64decode(uri.partition(",")[2]))
    write_csv(out / "worst.csv", rows)


def _said(witness: Witness, indices: Sequence[int]) -> list[Said]:
    overlays = _overlays(witness, indices)
    answers, filed = witness.answers, witness.answers.filed(witness.threshold)
    return [
        Said(answers.labels[int(answers.predicted[i])], _scores(answers, i), bool(filed[i]), overlay)
        for i, overlay in zip(indices, overlays, strict=True)
    ]


def _scores(answers: Answers, index: int) -> tuple[tuple[str, float], ...]:
    row, truth = answers.values[index], int(answers.truth[index])
    shown = [int(i) for i in np.argsort(-row, kind="stable")[:_MOST_SCORES]]
    if truth >= 0 and truth not in shown:
        shown[-1] = truth
    return tuple((answers.labels[i], float(row[i])) for i in shown)


def _overlays(witness: Witness, indices: Sequence[int]) -> list[str | None]:
    explainer = witness.explainer
    if explainer is None:
        return [None] * len(indices)
    result: list[str | None] = []
    for i in indices:
        path = witness.photos.paths[i]
        picture = _picture(path)
        if picture is None:
            result.append(None)
            continue
        seen = decode(read(path), explainer.input_size)
        [map_] = explainer.maps(seen[None], [int(witness.answers.predicted[i])])
        result.append(_uri(gradcam.overlay(picture, map_)))
    return result


def _picture(path: bytes) -> Pixels | None:
    try:
        return fit(read(path), LONGEST)
    except (OSError, UnreadableImage) as error:
        log.warning("%s: was readable a moment ago: %s", name_of(path), error)
        return None


def _uri(picture: Pixels | None) -> str | None:
    """Return a picture as a data URI of a plain JPEG: nothing of the file itself gets into the page."""
    if picture is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
