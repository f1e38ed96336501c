from __future__ import annotations

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.calibration import softmax
from models.evaluation.metrics.label_errors import suspects
from models.evaluation.metrics.predictions import Predictions


def predictions(bundle: Bundle, labels: list[int], rows: list[list[float]]) -> Predictions:
    return Predictions.of(bundle, np.array(labels), np.array(rows))


def test_swapped_labels_are_found_and_right_ones_left_alone(plain_bundle: Bundle):
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 600)
    values = softmax(4 * np.eye(3)[truth] + rng.normal(0, 0.7, (600, 3)))
    given = truth.copy()
    swapped = rng.choice(600, 30, replace=False)
    given[swapped] = (given[swapped] + 1) % 3
    found = suspects(Predictions.of(plain_bundle, given, values))
    hit = {s.index for s in found} & set(swapped.tolist())
    assert len(hit) >= 20  # of 30, with a threshold that half of right photos reach
    assert len(found) - len(hit) <= 3
    assert all(s.suggestion == truth[s.index] and s.label == given[s.index] for s in found if s.index in hit)
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)


def test_a_mistake_of_low_confidence_is_not_suspected(plain_bundle: Bundle):
    sure, unsure = [0.05, 0.9, 0.05], [0.4, 0.5, 0.1]
    cats = [[0.9, 0.05, 0.05]] * 5
    dogs = [[0.1, 0.85, 0.05]] * 5
    found = suspects(predictions(plain_bundle, [0] * 7 + [1] * 5, [*cats, sure, unsure, *dogs]))
    # dogs get 0.85 on the average for dog: only one of the two reaches that
    assert [(s.index, s.label, s.suggestion) for s in found] == [(5, 0, 1)]
    assert found[0].score == pytest.approx(0.85)


def test_label_that_no_photo_shows_is_never_suggested(plain_bundle: Bundle):
    assert suspects(predictions(plain_bundle, [0, 0], [[0.1, 0.1, 0.8], [0.9, 0.05, 0.05]])) == []


def test_photos_of_an_unknown_label_are_left_out(plain_bundle: Bundle):
    rows = [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.9, 0.05]]
    assert suspects(predictions(plain_bundle, [0, 1, -1], rows)) == []
