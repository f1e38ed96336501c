"""bfloat16 predictions are kept far from decision thresholds, and repeated in float32 near them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.bundle.manifest import MultiCrop
from models.inference import bfloat16
from models.inference.bfloat16 import MARGIN, TwoPrecisionPredictor, decision_thresholds, near_threshold

BOUNDS = np.float32([0.9, 0.9, 0.8])


def odds(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def beyond(bound: float, by: float) -> list[float]:
    """Return a row whose first label is above a threshold by this distance, in log odds."""
    first = odds(np.log(bound / (1 - bound)) + by)
    return [first, (1 - first) / 2, (1 - first) / 2]


def with_multi_crop(bundle: Bundle, **changes: float) -> Bundle:
    look = MultiCrop(
        **{"below": 0.97, "zoom": 1.5, "whole": 1.0, "parts": 1.0, "strongest": 0.0, "neither_below": 0.8}
        | changes
    )
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"closer_look": look}))


def test_a_decision_changes_at_the_threshold_and_where_multi_crop_begins(plain_bundle: Bundle):
    assert decision_thresholds(plain_bundle, 0.99).tolist() == pytest.approx([0.99, 0.99, 0.5])
    assert decision_thresholds(plain_bundle, 0.2).tolist() == pytest.approx([0.5] * 3)
    looked = with_multi_crop(plain_bundle)
    assert decision_thresholds(looked, 0.99).tolist() == pytest.approx([0.99, 0.99, 0.8])
    assert decision_thresholds(looked, 0.9).tolist() == pytest.approx([0.97, 0.97, 0.8])
    assert decision_thresholds(with_multi_crop(plain_bundle, neither_below=1.0), 0.9)[2] == pytest.approx(
        0.97
    )


def test_near_are_rows_less_than_a_margin_above_their_threshold():
    rows = [beyond(0.9, MARGIN + 0.01), beyond(0.9, MARGIN - 0.01), beyond(0.9, -3.0)]
    neither = [row[::-1] for row in (beyond(0.8, MARGIN + 0.01), beyond(0.8, MARGIN - 0.01))]
    assert near_threshold(np.float32(rows + neither), BOUNDS).tolist() == [1, 2, 4]


def test_a_threshold_of_1_and_nan_are_always_near():
    assert near_threshold(np.float32([[1, 0, 0], [np.nan, 0, 0]]), np.float32([1, 1, 1])).tolist() == [0, 1]


def test_float32_predicts_photos_near_a_threshold_and_no_others():
    plain, close = [0.999, 0.0005, 0.0005], [0.6, 0.3, 0.1]
    first_pass = {1: plain, 2: close, 3: plain}
    asked: list[int] = []

    def exact(images):
        asked.extend(images[:, 0, 0, 0].tolist())
        return np.float32([[0.1, 0.2, 0.7]] * len(images))

    def quick(images):
        return np.float32([first_pass[number] for number in images[:, 0, 0, 0].tolist()])

    images = np.zeros((3, 2, 2, 3), np.uint8) + np.uint8([1, 2, 3])[:, None, None, None]
    predictor = TwoPrecisionPredictor(quick, BOUNDS)
    np.testing.assert_array_equal(
        predictor.predict(exact, images), np.float32([plain, [0.1, 0.2, 0.7], plain])
    )
    assert asked == [2] and (predictor.predicted, predictor.repeated) == (3, 1)
    assert predictor.predict(exact, images[:1]).tolist() == [pytest.approx(plain)] and asked == [2]


@pytest.mark.parametrize(("close", "goes_on"), [(0.35, True), (0.45, False)])
def test_too_many_repeated_photos_end_the_first_pass(close: float, goes_on: bool):
    drawn: list[int] = []

    def quick(images):
        drawn.append(len(images))
        rows = np.tile(np.float32([0.9999, 0.0001, 0]), (len(images), 1))
        rows[: round(close * len(images))] = 1 / 3
        return rows

    predictor, images = TwoPrecisionPredictor(quick, BOUNDS), np.zeros((100, 1, 1, 3), np.uint8)
    for _ in range(9):
        predictor.predict(lambda images: np.full((len(images), 3), 1 / 3, np.float32), images)
    assert len(drawn) == (9 if goes_on else -(-bfloat16._LEAST_PREDICTED // 100))
