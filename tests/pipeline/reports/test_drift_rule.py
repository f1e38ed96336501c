"""When a figure is out of line, on series made by hand."""

from __future__ import annotations

import random

import pytest

from pipeline.reports.drift_rule import LONGEST, Rule, Sample, Series, Shift, follow

RULE = Rule(0.05)
LEVEL = 0.2


def day(value: float, photos: int = 100) -> Sample:
    return Sample(value, photos, LEVEL * (1 - LEVEL))


def usual(days: int, photos: int = 100, seed: int = 1) -> list[Sample | None]:
    draw = random.Random(seed)
    return [day(draw.gauss(LEVEL, 0.02), photos) for _ in range(days)]


def shifts(series: Series) -> list[Shift | None]:
    return [reading.shift for reading in follow(series, RULE)]


def test_a_new_level_is_found_on_its_second_day_with_the_day_it_began() -> None:
    found = shifts([*usual(60), day(0.5), day(0.5)])
    assert found[-2] is None
    assert found[-1] is not None
    assert (found[-1].since, found[-1].found) == (60, 61)
    assert found[-1].usual.center == pytest.approx(LEVEL, abs=0.02)


def test_one_odd_day_is_no_alarm_however_odd() -> None:
    assert not any(shifts([*usual(60), day(1.0, 500), *usual(10, seed=2)]))


def test_days_with_few_photos_weigh_little() -> None:
    assert not any(shifts([*usual(60), day(0.5, 3), day(0.5, 3), day(0.5, 3)]))
    assert not any(shifts([*usual(60), day(0.5, 3), *usual(3, seed=2)]))


def test_days_without_photos_between_change_nothing() -> None:
    found = shifts([*usual(60), day(0.5), None, None, day(0.5)])
    assert found[-1] is not None and found[-1].since == 60


def test_a_change_too_small_to_matter_is_no_alarm_however_certain() -> None:
    steady: list[Sample | None] = [day(LEVEL, 500)] * 60
    assert not any(shifts([*steady, *[day(LEVEL + 0.04, 500)] * 10]))
    assert shifts([*steady, *[day(LEVEL + 0.12, 500)] * 2])[-1]


def test_a_pattern_of_weekdays_is_no_alarm() -> None:
    weeks = [
        day(draw.gauss(0.5 if number % 7 >= 5 else LEVEL, 0.02))
        for draw in [random.Random(3)]
        for number in range(200)
    ]
    assert not any(shifts(weeks))


def test_an_alarm_ends_when_the_figure_is_back_and_its_days_are_not_usual() -> None:
    series = [*usual(60), *[day(0.5)] * 20, *usual(40, seed=2)]
    found = shifts(series)
    assert all(found[61:80])
    assert not any(found[83:])


def test_a_level_that_stays_is_usual_after_a_month_and_no_second_alarm() -> None:
    draw = random.Random(4)
    found = shifts([*usual(60), *[day(draw.gauss(0.5, 0.02)) for _ in range(60)]])
    assert len({shift for shift in found if shift}) == 1
    assert found[60 + LONGEST - 1] and not any(found[60 + LONGEST :])


def test_too_few_days_are_not_judged() -> None:
    assert not any(shifts([*usual(6), day(0.9), day(0.9)]))


def test_a_day_depends_on_none_that_follows() -> None:
    series = [*usual(60), *[day(0.5)] * 20, *usual(40, seed=2)]
    whole = shifts(series)
    assert [shifts(series[: end + 1])[end] for end in range(55, 120, 3)] == whole[55:120:3]
