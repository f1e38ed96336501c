from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db.queries.spot_checks import Known
from models import calibration
from pipeline.spot_checks import intervals
from pipeline.spot_checks.estimate import Sample, not_drawable, sample_of, weighted
from pipeline.spot_checks.strata import allocate
from tests.support.simulated_checks import START, Archive, Photo

Rates = tuple[tuple[float, float, float], tuple[float, float, float]]
"""The shares that are wrong, by class and by third of the time."""

DAYS = 90.0


def archive(seed: int, count: int, rates: Rates, cats: float, growth: float = 1.0) -> Archive:
    rng = random.Random(seed)
    photos = []
    for number in range(count):
        day, is_dog = DAYS * rng.random() ** growth, rng.random() >= cats
        wrong = rng.random() < rates[is_dog][int(3 * day / DAYS)]
        photos.append(Photo(number, ("cats", "dogs")[is_dog], day, not wrong))
    return Archive(photos, rng)


SITUATIONS: dict[str, tuple[int, Callable[[int], Archive], tuple[tuple[float, int], ...], float]] = {
    "alike": (300, lambda seed: archive(seed, 800, ((0.01,) * 3,) * 2, 0.5), ((90, 100),), 1.0),
    "a rare class is bad": (
        300, lambda seed: archive(seed, 800, ((0.0,) * 3, (0.3,) * 3), 0.95), ((40, 40), (90, 60)), 1.0,
    ),
    "new photos are bad": (
        200, lambda seed: archive(seed, 800, ((0.0, 0.0, 0.1),) * 2, 0.7, 0.6),
        tuple((float(day), 20) for day in range(10, 91, 10)), 1.0,
    ),
    "half of each draw is answered": (
        200, lambda seed: archive(seed, 800, ((0.05,) * 3, (0.1,) * 3), 0.8), ((45, 60), (90, 100)), 0.5,
    ),
}  # fmt: skip
"""Runs, the photos, the draws (day, photos), and the share that is answered."""


def test_the_interval_covers_the_truth_in_at_least_93_of_100_of_a_thousand_runs() -> None:
    covered: dict[str, list[bool]] = {}
    for name, (runs, photos, draws, share) in SITUATIONS.items():
        for seed in range(runs):
            simulated = photos(seed)
            for day, sample in draws:
                simulated.draw(day, sample, share)
            found = sample_of(weighted(simulated.drawn), []).estimate()
            covered.setdefault(name, []).append(found.low <= simulated.truth <= found.high)
    assert sum(map(len, covered.values())) == 1000
    shares = {name: sum(each) / len(each) for name, each in covered.items()}
    assert min(shares.values()) >= 0.93, shares


def test_the_estimate_is_unbiased_where_draws_look_at_some_photos_more_often() -> None:
    """Photos that came before the first draw could be drawn twice; in these, nothing is wrong."""
    errors = []
    for seed in range(60):
        simulated = archive(seed, 600, ((0.0, 0.2, 0.2),) * 2, 0.5)
        for day in (30.0, 90.0):
            simulated.draw(day, 100)
        found = sample_of(weighted(simulated.drawn), []).estimate()
        assert found.precision is not None
        errors.append(found.precision - simulated.truth)
    assert abs(sum(errors) / len(errors)) < 0.008
    plain = sum(each.right for each in simulated.drawn) / len(simulated.drawn)
    assert plain > simulated.truth + 0.03, "the plain share is not the precision"


def test_the_weights_of_one_draw_add_up_to_the_photos_that_were_there() -> None:
    simulated = archive(1, 500, ((0.0,) * 3,) * 2, 0.9)
    simulated.draw(60, 40)
    there = sum(photo.day <= 60 for photo in simulated.photos)
    assert math.isclose(sum(each.weight for each in weighted(simulated.drawn)), there)


def test_each_photo_can_be_drawn_and_a_draw_is_no_larger_than_what_is_there() -> None:
    assert allocate({"a": 980, "b": 20, "c": 0}, 10) == {"a": 9, "b": 1}
    assert allocate({"a": 1, "b": 1, "c": 1000}, 2) == {"a": 1, "b": 1, "c": 1}
    assert allocate({"a": 2, "b": 1}, 30) == {"a": 2, "b": 1}
    assert sum(allocate({"a": 333, "b": 333, "c": 334}, 100).values()) == 100
    assert allocate({}, 30) == {}


def judged(day: float, reviewed: float, right: bool) -> Known:
    at = START + timedelta(days=day), START + timedelta(days=reviewed)
    return Known("cats", "cat", "cat" if right else "dog", *at, 0.9, "0" * 64)


def test_mistakes_that_people_found_before_a_draw_count_one_by_one() -> None:
    simulated = archive(3, 90, ((0.0,) * 3,) * 2, 0.5)
    simulated.draw(90, 30)
    known = [judged(10, 20, False) for _ in range(10)]
    found = sample_of(weighted(simulated.drawn), not_drawable(known, simulated.drawn)).estimate()
    assert found.precision == pytest.approx(0.9)
    assert found.high == pytest.approx(0.9), "the ten that are known to be wrong are wrong for certain"


def test_a_photo_that_was_judged_after_it_could_be_drawn_belongs_to_what_was_drawn_from() -> None:
    simulated = archive(3, 90, ((0.0,) * 3,) * 2, 0.5)
    simulated.draw(30, 10)
    before, after, later = judged(10, 20, False), judged(10, 40, False), judged(50, 60, False)
    assert not_drawable([before, after, later], simulated.drawn) == [before, later]


def test_the_bounds_are_those_of_the_exact_binomial_test() -> None:
    for wrong, count in ((0, 1), (0, 459), (1, 777), (3, 1340), (40, 300)):
        for target in (0.9, 0.995):
            proven = calibration.precision_proven(wrong, count, target)
            assert intervals.is_proven(count - wrong, count, target, 0.9) == proven
    low, high = intervals.interval(99, 100)
    # Clopper and Pearson's interval, from tables: 94.55% to 99.97%.
    assert (round(low, 4), round(high, 4)) == (0.9455, 0.9997)
    assert intervals.interval(0, 0) == (0.0, 1.0)
    assert intervals.interval(0, 10)[0] == 0.0 and intervals.interval(10, 10)[1] == 1.0


def sample(**values: Any) -> Sample:
    nothing = Sample(right=0, count=0, frame=1e4, share=1.0, effective=0.0, answered=0)
    return replace(nothing, **values)


def test_so_many_more_right_answers_prove_the_promise() -> None:
    least = calibration.least_filed(0.995)
    assert sample().needed(0.995) == least
    assert sample(effective=100.0, answered=100).needed(0.995) == least - 100
    # Answers of unequal weight tell half as much, so that twice as many are needed.
    assert sample(effective=50.0, answered=100).needed(0.995) == 2 * (least - 50) - 1
    assert sample(effective=float(least), answered=least).needed(0.995) == 0
    wrong = sample(effective=100.0, answered=100, share=0.99)
    needed = wrong.needed(0.995)
    assert needed is not None
    assert calibration.precision_proven(1, 100 + needed, 0.995)
    assert not calibration.precision_proven(1, 100 + needed - 1, 0.995)
    assert sample().needed(1.0) is None
    assert sample(right=0, count=1000, frame=1000.0).needed(0.995) is None, "half is wrong for certain"
