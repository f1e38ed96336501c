from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decision import Decision, Policy, decide

POLICY = Policy({"cat": "cats", "dog": "dogs"}, threshold=0.9)


def scores(cat: float, dog: float, neither: float = 0.0) -> dict[str, float]:
    return {"cat": cat, "dog": dog, "neither": neither}


def test_a_sure_photo_goes_to_its_folder() -> None:
    assert decide(scores(0.97, 0.02, 0.01), POLICY) == Decision("cats", "cat", 0.97, None)
    assert decide(scores(0.02, 0.97, 0.01), POLICY) == Decision("dogs", "dog", 0.97, None)


def test_the_threshold_itself_is_sure_enough() -> None:
    assert decide(scores(0.9, 0.1), POLICY).outcome == "cats"


def test_just_below_the_threshold_is_uncertain() -> None:
    below = math.nextafter(0.9, 0.0)
    assert decide(scores(below, 0.1), POLICY) == Decision("uncertain", "cat", below, "low_confidence")


def test_neither_keeps_the_best_animal_as_prediction() -> None:
    assert decide(scores(0.2, 0.3, 0.5), POLICY) == Decision("uncertain", "dog", 0.3, "neither")


def test_a_photo_that_shows_both_is_filed_nowhere_however_sure() -> None:
    assert decide(scores(0.99, 0.01), POLICY, both=True) == Decision("uncertain", "cat", 0.99, "both")
    assert decide(scores(0.1, 0.1, 0.8), Policy(POLICY.folders, 0.0), both=True).reason == "both"


def test_neither_never_wins_a_tie() -> None:
    assert decide(scores(0.5, 0.0, 0.5), POLICY).reason == "low_confidence"


def test_the_earlier_label_wins_a_tie() -> None:
    assert decide(scores(0.5, 0.5), Policy(POLICY.folders, 0.0)).prediction == "cat"


def test_neither_is_never_filed_however_low_the_threshold() -> None:
    assert decide(scores(0.1, 0.1, 0.8), Policy(POLICY.folders, 0.0)).outcome == "uncertain"


def test_a_threshold_of_one_files_only_certainty() -> None:
    strict = Policy(POLICY.folders, 1.0)
    assert decide(scores(1.0, 0.0), strict).outcome == "cats"
    assert decide(scores(math.nextafter(1.0, 0.0), 0.0), strict).outcome == "uncertain"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
def test_scores_that_are_not_probabilities_give_no_decision(bad: float) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        decide(scores(bad, 0.5), POLICY)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1))
def test_filed_means_at_least_the_threshold_and_the_best_of_all(
    values: list[float], threshold: float
) -> None:
    decision = decide(scores(*values), Policy(POLICY.folders, threshold))
    if decision.reason is None:
        assert decision.confidence >= threshold
        assert decision.confidence == max(values)
    else:
        assert decision.outcome == "uncertain"
