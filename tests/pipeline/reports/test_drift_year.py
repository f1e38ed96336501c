"""In simulated years one shift is found within three days, with at most two false alarms."""

from __future__ import annotations

import pytest

from pipeline.reports import drift
from pipeline.reports.drift import RULES
from pipeline.reports.drift_rule import follow
from tests.support.drift_seeds import begun, holds
from tests.support.simulated_year import KINDS, year

SEEDS = (1, 2, 3, 5, 8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_is_found_within_three_days_with_two_false_alarms_a_year(kind: str, seed: int) -> None:
    assert holds(year(seed, kind))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_year_without_a_shift_has_two_false_alarms_at_most(seed: int) -> None:
    assert len(begun(year(seed).days)) <= 2


def test_the_last_weeks_tell_the_same_as_all_days() -> None:
    simulated = year(1, "uncertain")
    rule, sample_of = RULES["uncertain"], next(iter(drift._figures(simulated.days)))[2]
    series = [sample_of(figures) for _, figures in simulated.days]
    for day in (simulated.shift + 1, simulated.shift + 20, simulated.shift + 40):
        start = max(0, day + 1 - drift.HISTORY)
        whole, part = follow(series, rule)[day].shift, follow(series[start : day + 1], rule)[-1].shift
        assert (whole and whole.since) == (part and part.since + start)
