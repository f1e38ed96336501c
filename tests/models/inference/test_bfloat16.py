"""Sketches stand where a decision is far off, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.bundle.manifest import CloserLook
from models.inference import bfloat16
from models.inference.bfloat16 import MARGIN, TwoPrecisionPredictor, decision_thresholds, near

BOUNDS = np.float32([0.9, 0.9, 0.8])


def odds(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def beyond(bound: float, by: float) -> list[float]:
    """A row whose first label is so far beyond a bound, in log odds."""
    first = odds(np.log(bound / (1 - bound)) + by)
    return [first, (1 - first) / 2, (1 - first) / 2]


def looking(bundle: Bundle, **changes: float) -> Bundle:
    look = CloserLook(
        **{"below": 0.97, "zoom": 1.5, "whole": 1.0, "parts": 1.0, "strongest": 0.0, "neither_below": 0.8}
        | changes
    )
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"closer_look": look}))


def test_a_decision_changes_at_the_threshold_and_where_a_closer_look_begins(plain_bundle: Bundle):
    assert decision_thresholds(plain_bundle, 0.99).tolist() == pytest.approx([0.99, 0.99, 0.5])
    assert decision_thresholds(plain_bundle, 0.2).tolist() == pytest.approx([0.5] * 3)
    looked = looking(plain_bundle)
    assert decision_thresholds(looked, 0.99).tolist() == pytest.approx([0.99, 0.99, 0.8])
    assert decision_thresholds(looked, 0.9).tolist() == pytest.approx([0.97, 0.97, 0.8])
    assert decision_thresholds(looking(plain_bundle, neither_below=1.0), 0.9)[2] == pytest.approx(0.97)


def test_near_is_what_is_not_a_margin_beyond_its_own_boundary():
    rows = [beyond(0.9, MARGIN + 0.01), beyond(0.9, MARGIN - 0.01), beyond(0.9, -3.0)]
    strangers = [row[::-1] for row in (beyond(0.8, MARGIN + 0.01), beyond(0.8, MARGIN - 0.01))]
    assert near(np.float32(rows + strangers), BOUNDS).tolist() == [1, 2, 4]


def test_nothing_is_beyond_certainty_and_no_number_is_near():
    assert near(np.float32([[1, 0, 0], [np.nan, 0, 0]]), np.float32([1, 1, 1])).tolist() == [0, 1]


def test_float32_answers_for_what_is_near_and_for_nothing_else():
    plain, close = [0.999, 0.0005, 0.0005], [0.6, 0.3, 0.1]
    sketch = {1: plain, 2: close, 3: plain}
    asked: list[int] = []

    def exact(images):
        asked.extend(images[:, 0, 0, 0].tolist())
        return np.float32([[0.1, 0.2, 0.7]] * len(images))

    def quick(images):
        return np.float32([sketch[number] for number in images[:, 0, 0, 0].tolist()])

    images = np.zeros((3, 2, 2, 3), np.uint8) + np.uint8([1, 2, 3])[:, None, None, None]
    sketcher = TwoPrecisionPredictor(quick, BOUNDS)
    np.testing.assert_array_equal(sketcher.answer(exact, images), np.float32([plain, [0.1, 0.2, 0.7], plain]))
    assert asked == [2] and (sketcher.asked, sketcher.again) == (3, 1)
    assert sketcher.answer(exact, images[:1]).tolist() == [pytest.approx(plain)] and asked == [2]


@pytest.mark.parametrize(("close", "sketches"), [(0.35, True), (0.45, False)])
def test_who_has_to_answer_too_much_again_sketches_no_more(close: float, sketches: bool):
    drawn: list[int] = []

    def quick(images):
        drawn.append(len(images))
        rows = np.tile(np.float32([0.9999, 0.0001, 0]), (len(images), 1))
        rows[: round(close * len(images))] = 1 / 3
        return rows

    sketcher, images = TwoPrecisionPredictor(quick, BOUNDS), np.zeros((100, 1, 1, 3), np.uint8)
    for _ in range(9):
        sketcher.answer(lambda images: np.full((len(images), 3), 1 / 3, np.float32), images)
    assert len(drawn) == (9 if sketches else -(-bfloat16._ASKED // 100))
