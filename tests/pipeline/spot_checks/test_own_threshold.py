from __future__ import annotations

import math
import random
from datetime import timedelta

import numpy as np
import pytest

from db.queries.spot_checks import Doubted
from pipeline.spot_checks import intervals
from pipeline.spot_checks import own_threshold as own
from pipeline.spot_checks.estimate import weighted
from pipeline.spot_checks.own_threshold import arrays, own_threshold
from tests.support.simulated_checks import START, Archive, Photo

PROMISE = 0.98


def simulated(
    seed: int, model: float, shift: float, sample: int, reviewed: float
) -> tuple[float | None, list[Photo]]:
    """Return the own threshold, and all photos with a best label, filed at the model's threshold or not.

    `shift` is by how much the model underrates itself, in logits.
    """
    rng = random.Random(seed)
    photos = []
    for number in range(2500):
        logit = rng.gauss(3.5, 2.0)
        confidence = 1 / (1 + math.exp(-logit))
        right = rng.random() < 1 / (1 + math.exp(-(logit + shift)))
        photos.append(Photo(number, "cats", 100 * rng.random(), right, confidence))
    filed = Archive([photo for photo in photos if photo.confidence >= model], rng)
    for day in (40, 70, 100):
        filed.draw(day, sample // 3)
    doubted = []
    for photo in photos:
        if 0.5 < photo.confidence < model:
            said = photo.day < 90 and rng.random() < reviewed
            label = ("cat" if photo.right else "dog") if said else None
            at = START + timedelta(days=90) if said else None
            doubted.append(Doubted(photo.confidence, "cat", photo.seen_at, label, at))
    answered = weighted(filed.drawn)
    confidence_, weight, right_ = arrays(answered, [], doubted)
    is_filed = np.arange(len(weight)) < len(answered)
    return own_threshold(confidence_, weight, right_, is_filed, PROMISE), photos


def precision(photos: list[Photo], threshold: float) -> float:
    filed = [photo.right for photo in photos if photo.confidence >= threshold]
    return sum(filed) / len(filed)


@pytest.mark.parametrize(
    ("model", "shift", "sample", "reviewed", "least_found"),
    [
        pytest.param(0.95, 1.5, 300, 1.0, 60, id="the model underrates itself"),
        pytest.param(0.9, 0.0, 600, 1.0, 10, id="the model is too bold"),
        pytest.param(0.95, 1.0, 300, 0.9, 10, id="some of the doubtful photos were not reviewed"),
        pytest.param(0.9, 0.4, 300, 1.0, 0, id="at the edge of the promise"),
    ],
)
def test_the_own_threshold_keeps_the_promise_in_at_least_90_of_100_runs(
    model: float, shift: float, sample: int, reviewed: float, least_found: int
) -> None:
    runs = 80
    found = kept = 0
    for seed in range(runs):
        threshold, photos = simulated(seed, model, shift, sample, reviewed)
        found += threshold is not None
        kept += threshold is None or precision(photos, threshold) >= PROMISE
    assert kept >= 0.9 * runs
    assert found >= least_found


def test_a_model_that_underrates_itself_gets_a_lower_threshold() -> None:
    found = [simulated(seed, 0.95, 1.5, 300, 1.0)[0] for seed in range(20)]
    assert sum(threshold is not None and threshold < 0.95 for threshold in found) >= 10


def test_photos_that_nobody_reviewed_keep_it_where_the_model_has_it() -> None:
    found = [simulated(seed, 0.95, 1.5, 300, 0.0)[0] for seed in range(10)]
    assert all(threshold is None or threshold >= 0.94 for threshold in found)


def measured(*photos: tuple[float, bool, bool], promise: float = 0.5) -> float | None:
    confidence, right, filed = (np.array(column) for column in zip(*photos, strict=True))
    return own_threshold(confidence, np.ones(len(photos)), right, filed, promise)


def test_it_stops_at_the_first_step_that_is_not_proven() -> None:
    good = [(0.9, True, True)] * 30
    assert measured(*good, (0.8, True, False), (0.7, True, False)) == 0.7
    wrong = [(0.6, False, False)] * 40
    assert measured(*good, (0.7, True, False), *wrong, *[(0.5, True, False)] * 500) == 0.7


def test_few_answers_or_none_of_filed_photos_prove_nothing() -> None:
    assert measured((0.9, True, True), (0.8, True, False), promise=0.99) is None
    assert measured(*[(0.9, True, False)] * 1000) is None
    assert measured(*[(0.9, True, True)] * 1000, promise=1.0) is None


def test_answers_count_as_much_in_a_threshold_as_in_an_estimate() -> None:
    rng = np.random.default_rng(1)
    weight, right = rng.uniform(1, 9, 50), rng.random(50) < 0.8
    total = np.cumsum(weight)
    found = own._effective(weight, right, total, np.cumsum(weight * right) / total)
    for count in (1, 2, 10, 50):
        expected = intervals.effective_count(weight[:count].tolist(), right[:count].tolist())
        assert found[count - 1] == pytest.approx(expected)


def test_doubtful_photos_that_had_their_turn_and_no_answer_count_as_wrong() -> None:
    """People may review the easy ones first; the three before the review stand for the fourth."""

    def doubted(day: float, label: str | None) -> Doubted:
        reviewed = START + timedelta(days=10) if label else None
        return Doubted(0.6, "cat", START + timedelta(days=day), label, reviewed)

    photos = [doubted(1, "cat"), doubted(2, "dog"), doubted(3, None), doubted(12, None)]
    confidence, weight, right = arrays([], [], photos)
    assert (confidence.tolist(), weight.tolist()) == ([0.6] * 3, [4 / 3] * 3)
    assert right.tolist() == [True, False, False]
    _, weight, right = arrays([], [], [doubted(1, None), doubted(2, None)])
    assert (weight.tolist(), right.tolist()) == ([1.0, 1.0], [False, False])
