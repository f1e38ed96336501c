"""Each statistic against scikit-learn and NumPy, for weights too: a weight of 2 is the photo twice."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.metrics import statistics
from models.evaluation.metrics.statistics import Statistic

metrics = pytest.importorskip("sklearn.metrics")


def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with many ties, flags, and weights that repeat some photos and drop others."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 8, count) / 7
    flags = rng.random(count) < 0.3 + 0.4 * scores
    return scores, flags, rng.integers(0, 4, count).astype(float)


def same_as_repeated(
    make: Callable[[np.ndarray, np.ndarray], Statistic], oracle: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    """A statistic of weighted photos is the oracle's of photos that are repeated."""
    for seed in range(12):
        scores, flags, weights = draw(seed, 60)
        rows = np.repeat(np.arange(60), weights.astype(int))
        both = np.stack([np.ones(60), weights])
        plain, weighted = make(scores, flags)(both)
        assert plain == pytest.approx(oracle(scores, flags), abs=1e-12)
        assert weighted == pytest.approx(oracle(scores[rows], flags[rows]), abs=1e-12)


def test_area_under_roc_is_that_of_scikit_learn():
    same_as_repeated(
        lambda s, f: statistics.area_under_roc(s, f, ~f), lambda s, f: metrics.roc_auc_score(f, s)
    )


def test_average_precision_is_that_of_scikit_learn():
    same_as_repeated(
        lambda s, f: statistics.average_precision(s, f, np.ones_like(f)),
        lambda s, f: metrics.average_precision_score(f, s),
    )


def test_fpr_at_tpr_uses_the_same_quantile_as_numpy():
    same_as_repeated(
        lambda s, f: statistics.fpr_at_tpr(s, f, ~f), lambda s, f: (s[~f] <= np.quantile(s[f], 0.95)).mean()
    )


def expected_calibration_error(confidence, right, bins=15):
    """Return the calibration error by its definition: the mean gap between confidence and share right."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def test_calibration_error_is_that_of_its_definition():
    same_as_repeated(
        lambda s, f: statistics.calibration_error(s, f, np.ones_like(f)), expected_calibration_error
    )


def test_calibration_error_by_hand():
    confidence, right = np.array([0.9, 0.9, 1.0, 1.0]), np.array([True, False, True, True])
    error = statistics.calibration_error(confidence, right, np.ones(4, bool))
    assert error(np.ones((1, 4)))[0] == pytest.approx((2 * 0.9 - 1) / 4)


def test_area_under_roc_counts_pairs_and_halves_ties():
    scores, positive = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert statistics.area_under_roc(scores, positive, ~positive)(np.ones((1, 4)))[0] == pytest.approx(
        3.5 / 4
    )


def test_f1_as_a_ratio_is_that_of_scikit_learn():
    same_as_repeated(
        lambda s, f: statistics.ratio(2.0 * (f & (s > 0.5)), f.astype(float) + (s > 0.5)),
        lambda s, f: metrics.f1_score(f, s > 0.5),
    )


def test_area_under_risk_and_coverage_by_hand():
    confidence, right = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, True])
    area = statistics.area_under_risk_coverage(confidence, right, np.ones(4, bool))
    # at 0.8 the wrong one is taken first: risks 0, 1/2, 1/3, 1/4
    assert area(np.ones((1, 4)))[0] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert area(np.array([[1.0, 0, 0, 1]]))[0] == 0


def test_photos_that_are_not_among_them_change_nothing():
    scores, flags, _ = draw(1, 40)
    among = np.arange(40) < 30
    for make in (statistics.average_precision, statistics.calibration_error):
        part = make(scores[:30], flags[:30], among[:30])(np.ones((1, 30)))
        assert make(scores, flags, among)(np.ones((1, 40))) == pytest.approx(part)


def test_undefined_figures_are_nan_without_a_warning():
    none, some = np.zeros(3, bool), np.ones(3, bool)
    scores = np.array([0.1, 0.5, 0.9])
    for statistic in (
        statistics.area_under_roc(scores, none, some),
        statistics.area_under_roc(scores, none, none),
        statistics.average_precision(scores, none, some),
        statistics.average_precision(scores, none, none),
        statistics.area_under_risk_coverage(scores, some, none),
        statistics.fpr_at_tpr(scores, none, some),
        statistics.fpr_at_tpr(scores, some, none),
        statistics.calibration_error(scores, some, none),
        statistics.ratio(none, none),
    ):
        assert math.isnan(statistic(np.ones((1, 3)))[0])
    # a resample may lack one side that the photos have
    assert math.isnan(
        statistics.fpr_at_tpr(scores, scores < 0.7, scores > 0.7)(np.array([[0.0, 0.0, 3.0]]))[0]
    )


def test_mean_counts_undefined_parts_as_given():
    parts = [statistics.ratio([1, 1], [1, 1]), statistics.ratio([0, 0], [0, 0])]
    assert statistics.mean(parts, empty=0.0)(np.ones((1, 2)))[0] == 0.5


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 80), st.integers(0, 2**32))
def test_areas_stay_between_0_and_1_and_turn_round_with_the_scores(count: int, seed: int):
    scores, flags, weights = draw(seed, count)
    area = statistics.area_under_roc(scores, flags, ~flags)(weights[None])[0]
    other = statistics.area_under_roc(-scores, flags, ~flags)(weights[None])[0]
    assert math.isnan(area) or (0 <= area <= 1 and area + other == pytest.approx(1))
