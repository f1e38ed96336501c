"""The classifier process: each file has its own result, and scores are probabilities."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle.manifest import MultiCrop
from models.inference.box_crops import CropInference
from models.inference.multi_crop import CROPS
from pipeline.classifier.messages import ClassificationResult, Working
from pipeline.classifier.serve import (
    CHUNK,
    Answers,
    BrokenEngine,
    check_scores,
    classify_batch,
    crop_answer,
)
from pipeline.settings.sections import LimitSettings
from tests.support.stub_classifier import LABELS, RednessEngine


class Lying:
    """An engine that gives these answers, one after the other."""

    name = "lying"

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def predict(self, images: np.ndarray) -> np.ndarray:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return np.asarray(answer, np.float32)


def batch_of_two() -> object:
    from types import SimpleNamespace as Space

    refused, readable = ClassificationResult(8, None, None, "empty", "0"), ClassificationResult(9, None)
    return Space(paths=(b"/8", b"/9"), images=np.zeros((2, 4, 4, 3), np.uint8), results=(refused, readable))


def test_no_probabilities_are_computed_once_more() -> None:
    engine = Lying([[np.nan, 0, 0]], [[0.25, 0.75, 0]])
    findings = classify_batch(engine, LABELS, batch_of_two())  # type: ignore[arg-type]
    assert findings == [
        ClassificationResult(8, None, None, "empty", "0"),
        ClassificationResult(9, None, {"cat": 0.25, "dog": 0.75, "neither": 0.0}),
    ]


@pytest.mark.fault(44)
def test_an_answer_is_of_the_pixels_of_its_own_file() -> None:
    batch: Any = batch_of_two()
    batch.images[1, ..., 0] = 255  # red, which this engine says `cat` to; the unreadable one is black
    found = {finding.id: finding.scores for finding in classify_batch(RednessEngine(), LABELS, batch)}
    assert found == {8: None, 9: {"cat": 1.0, "dog": 0.0, "neither": 0.0}}


def test_multi_crop_replaces_the_answer_and_knows_the_row_of_each_file() -> None:
    engine, asked = Lying([[0.25, 0.75, 0]], [[1, 0, 0]]), []

    def answer(predict, images, rows):
        asked.append((predict(images).tolist(), list(rows)))
        return predict(np.zeros((1, 4, 4, 3), np.uint8)), np.zeros(1, np.bool_)

    (_, finding) = classify_batch(engine, LABELS, batch_of_two(), answer)  # type: ignore[arg-type]
    assert finding.scores == {"cat": 1.0, "dog": 0.0, "neither": 0.0}
    assert asked == [([[0.25, 0.75, 0.0]], [1])]


@pytest.mark.parametrize("look", [None, MultiCrop(below=0.9, zoom=1.5, whole=1.0, parts=1.0, strongest=0.0)])
def test_a_large_batch_is_classified_in_chunks_and_each_is_progress(look: MultiCrop | None) -> None:
    crops = CropInference(look, 4, None, (0, 1))
    pulses: list[None] = []
    seen: list[int] = []

    def predict(images):
        seen.append(len(images))
        return np.tile(np.float32([0.95, 0.05]), (len(images), 1))

    with ThreadPoolExecutor(1) as pool:
        batch: Any = SimpleNamespace(paths=())
        answer = crop_answer(crops, batch, LimitSettings(), lambda: pulses.append(None), pool)
        result, _ = answer(predict, np.zeros((2 * CHUNK + 1, 4, 4, 3), np.uint8), range(2 * CHUNK + 1))
    assert seen == [CHUNK, CHUNK, 1] and len(pulses) == 3 and len(result) == 2 * CHUNK + 1


def test_a_low_confidence_file_is_read_again_and_keeps_its_result_if_it_is_gone(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(tmp_path / "there.png")
    paths = tuple(os.fsencode(tmp_path / name) for name in ("sure.png", "gone.png", "there.png"))
    look = MultiCrop(below=0.9, zoom=1.5, whole=0.0, parts=1.0, strongest=0.0)
    crops = CropInference(look, 16, None, (0, 1))
    first = np.float32([[0.95, 0.05], [0.6, 0.4], [0.6, 0.4]])
    seen: list[tuple[int, ...]] = []

    def predict(images):
        seen.append(images.shape)
        return first if len(seen) == 1 else np.tile(np.float32([0.1, 0.9]), (len(images), 1))

    with ThreadPoolExecutor(2) as pool:
        answer = crop_answer(crops, SimpleNamespace(paths=paths), LimitSettings(), lambda: None, pool)  # type: ignore[arg-type]
        result, both = answer(predict, np.zeros((3, 16, 16, 3), np.uint8), (0, 1, 2))
    np.testing.assert_allclose(result, [[0.95, 0.05], [0.6, 0.4], [0.1, 0.9]], atol=1e-6)
    assert seen == [(3, 16, 16, 3), (CROPS, 16, 16, 3)] and not both.any()


@pytest.mark.fault(57)
def test_an_engine_that_fails_twice_blames_no_file() -> None:
    engine = Lying([[np.nan, 0, 0]], RuntimeError("no room"))
    with pytest.raises(BrokenEngine, match=r"lying engine failed twice .* images: no room"):
        classify_batch(engine, LABELS, batch_of_two())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        ([[1, 0, 0]], None),
        ([[0.334, 0.333, 0.333]], None),
        ([[np.nan, 0, 0]], "NaN"),
        ([[np.inf, 0, 0]], "infinity"),
        ([[-0.1, 1.1, 0]], "from -0.1 to 1.1"),
        ([[0.5, 0.4, 0]], "probabilities"),
        ([[0, 0, 0]], "probabilities"),
        ([[1, 0]], "(1, 2)"),
        ([[1, 0, 0], [1, 0, 0]], "(2, 3)"),
        ([1, 0, 0], "(3,)"),
    ],
)
@pytest.mark.fault(57)
def test_only_probabilities_are_taken_for_scores(scores: object, problem: str | None) -> None:
    found = check_scores(np.asarray(scores, np.float32), 1, 3)
    assert found is None if problem is None else found is not None and problem in found


def test_the_child_says_at_most_once_a_second_that_it_works() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    now = 1000.0
    answers = Answers(theirs, lambda: now)
    for _ in range(100):
        now += 0.1
        answers.send_progress()
    heard = 0
    while ours.poll():
        assert ours.recv() == Working()
        heard += 1
    assert heard in (9, 10)
    ours.close()
    theirs.close()
