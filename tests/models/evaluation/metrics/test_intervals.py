from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.metrics import intervals, statistics
from models.evaluation.metrics.intervals import quantity, resample, share, spread


def test_bootstrap_of_a_mean_agrees_with_the_central_limit_theorem():
    values = np.random.default_rng(1).exponential(1.0, 2000)
    mean = statistics.ratio(values, np.ones(2000))
    found = quantity(values.mean(), resample({"m": mean}, 2000)["m"], 2000, (0, 100))
    reach = 1.96 * values.std() / np.sqrt(2000)
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - reach, values.mean() + reach), abs=0.15 * reach
    )


def test_bootstrap_of_a_share_is_close_to_wilson():
    hits = np.arange(1000) < 900
    samples = resample({"s": statistics.ratio(hits, np.ones(1000))}, 1000)["s"]
    found, wilson = quantity(0.9, samples, 1000, (0, 1)), share(hits)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=0.003)


def test_same_photos_have_the_same_interval_and_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch):
    values = {"m": statistics.ratio(np.arange(50.0), np.ones(50))}
    first, second = resample(values, 50)["m"], resample(values, 50)["m"]
    assert (first == second).all() and len(first) == intervals.LARGEST
    monkeypatch.setattr(intervals, "_CHUNK", 120)  # two resamples at a time
    assert len(resample(values, 50)["m"]) == intervals.LARGEST


def test_many_photos_take_fewer_resamples_and_little_memory(monkeypatch: pytest.MonkeyPatch):
    largest = 0

    def looking(weights: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, weights.size)
        assert (weights.sum(axis=1) == weights.shape[1]).all()
        return weights[:, 0]

    monkeypatch.setattr(intervals, "_WORK", 400_000)
    monkeypatch.setattr(intervals, "_CHUNK", 20_000)
    assert len(resample({"w": looking}, 1_000)["w"]) == 400
    assert len(resample({"w": looking}, 3_000)["w"]) == intervals.LEAST
    assert largest <= 20_000


def test_interval_of_a_calibration_error_holds_it_though_resamples_run_high():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 400)
    right = rng.random(400) < confidence
    error = statistics.calibration_error(confidence, right, np.ones(400, bool))
    value, samples = intervals.value_of(error, 400), resample({"e": error}, 400)["e"]
    assert value is not None and np.median(samples) > value * 1.2
    low, high = spread(samples, value, (0, 1), centred=True)
    assert low <= value <= high and (low + high) / 2 == pytest.approx(value, rel=0.2)


def test_without_photos_a_share_has_no_value():
    assert share(np.zeros(0, bool)) == intervals.Share(None, 0.0, 1.0, 0)
    assert quantity(None, np.zeros(0), 5, (0, 1)).value is None
    assert spread(np.array([np.nan]), 0.5, (0, 1)) == (0, 1)
    assert intervals.value_of(statistics.ratio([], []), 0) is None
    assert len(resample({"m": statistics.ratio([], [])}, 0)["m"]) == 0


def test_a_figure_is_within_its_interval_however_its_resamples_lie() -> None:
    for samples in (np.full(9, 0.2), np.full(9, 0.6)):
        found = quantity(0.4, samples, 9, (0, 1))
        assert found.value is not None and found.low <= found.value <= found.high
