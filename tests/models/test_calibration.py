from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import calibration
from models.calibration import fit_temperature, precision_proven, softmax, thresholds, wilson


def two_classes(confidence: list[float]) -> np.ndarray:
    """Probabilities of (a, b, neither) where a gets `confidence` and neither nothing."""
    a = np.array(confidence)
    return np.stack([a, 1 - a, np.zeros_like(a)], axis=1)


def test_softmax_survives_large_logits_and_sharpens_with_low_temperature():
    cold, warm = (softmax(np.array([[1000.0, 998.0]]), t)[0, 0] for t in (0.5, 2.0))
    assert cold == pytest.approx(1 / (1 + math.exp(-4))) and warm == pytest.approx(1 / (1 + math.exp(-1)))


def test_log_loss_of_certain_mistake_is_bounded():
    assert calibration.log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_that_made_the_labels_is_found(true: float):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (20_000, 3))
    drawn = (softmax(logits, true).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(logits, drawn) == pytest.approx(true, rel=0.06)


def test_temperature_stays_in_range_where_every_answer_is_right():
    assert 0.25 <= fit_temperature(np.array([[9.0, 0.0], [0.0, 9.0]]), np.array([0, 1])) <= 10


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(0, 0, 0, 1), (0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634)],
)
def test_wilson_intervals_from_the_tables(successes: int, count: int, low: float, high: float):
    assert wilson(successes, count) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_contains_the_share(successes: int, failures: int):
    low, high = wilson(successes, successes + failures)
    assert 0 <= low <= high <= 1
    if successes + failures:
        assert (
            low <= successes / (successes + failures) + 1e-12
            and successes / (successes + failures) <= high + 1e-12
        )


def test_least_filed_agrees_with_the_binomial_bound():
    for target in (0.9, 0.95, 0.995, 0.999):
        least = calibration.least_filed(target)
        assert precision_proven(0, least, target) and not precision_proven(0, least - 1, target)
    assert calibration.least_filed(0.995) == 460


def test_too_few_photos_for_a_precision_cause_a_warning():
    few = thresholds(two_classes([0.99] * 104), np.zeros(104, dtype=int), [0, 1])
    assert "104 photos for calibration do not prove the promise of 99.5%" in (
        calibration.unproven(few, 104, 0.995) or ""
    )
    assert calibration.unproven(few, 104, 0.95) is None
    assert "100%" in (calibration.unproven(few, 104, 1.0) or "")


@pytest.mark.parametrize(
    ("wrong", "filed", "proven"),
    [(0, 0, False), (0, 459, False), (0, 460, True), (1, 460, False), (1, 777, True)],
)
def test_a_precision_of_995_needs_as_many_photos_as_the_binomial_bound(wrong: int, filed: int, proven: bool):
    assert precision_proven(wrong, filed, 0.995) is proven


def test_threshold_excludes_mistakes_of_low_confidence():
    confidence = [0.99] * 300 + [0.7] * 30
    labels = np.array([0] * 300 + [1] * 30)
    entry = next(e for e in thresholds(two_classes(confidence), labels, [0, 1]) if e.target_precision == 0.99)
    assert (entry.threshold, entry.precision, entry.proven) == (0.99, 1.0, True)
    assert entry.coverage == pytest.approx(300 / 330)


def test_photo_of_neither_that_would_be_filed_counts_as_a_mistake():
    confidence = [0.99] * 300 + [0.7] * 30
    for wrong, threshold in ((2, 0.99), (0, 0.7)):
        labels = np.array([0] * 300 + [wrong] * 30)
        assert thresholds(two_classes(confidence), labels, [0, 1], [0.95])[0].threshold == threshold


def test_photo_better_called_neither_is_not_filed_however_low_the_threshold():
    probabilities = np.array([[0.4, 0.1, 0.5]] * 50 + [[0.9, 0.05, 0.05]] * 50)
    entry = thresholds(probabilities, np.zeros(100, int), [0, 1], [0.9])[0]
    assert (entry.threshold, entry.coverage) == (0.9, 0.5)


def test_an_unproven_precision_takes_a_threshold_above_every_mistake():
    entry = thresholds(two_classes([0.9, 0.8, 0.7]), np.array([0, 1, 0]), [0, 1], [0.99])[0]
    assert not entry.proven and 0.8 < entry.threshold <= 0.9 and entry.precision == 1.0


def test_no_photos_prove_no_precision():
    first, last = thresholds(np.zeros((0, 3)), np.zeros(0, int), [0, 1], [0.9])
    assert not first.proven and last.threshold == 1.0


@settings(max_examples=60)
@given(st.data())
def test_thresholds_never_fall_and_keep_their_proven_precision(data: st.DataObject):
    count = data.draw(st.integers(1, 400))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    probabilities = np.round(softmax(rng.normal(0, data.draw(st.floats(0.1, 8)), (count, 3))), 2)
    labels = np.where(rng.random(count) < 0.95, probabilities.argmax(axis=1), rng.integers(0, 3, count))
    table = thresholds(probabilities, labels, [0, 1])
    assert [e.threshold for e in table] == sorted(e.threshold for e in table)
    assert all(e.precision >= e.target_precision for e in table if e.proven)
    assert all(0 <= e.threshold <= 1 and 0 <= e.coverage <= 1 for e in table)


def test_wilson_intervals_end_exactly_at_all_and_at_nothing() -> None:
    for count in range(1, 2000):
        assert (wilson(0, count)[0], wilson(count, count)[1]) == (0.0, 1.0)
