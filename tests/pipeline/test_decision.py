from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.decision import Decision, Policy, Shown, decide, shown, with_shown

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


def test_the_number_that_is_shown_is_that_of_the_word_that_is_shown() -> None:
    assert shown("cat", 0.001, scores(0.001, 0.0, 0.999)) == Shown("neither", 0.999)
    assert shown("cat", 0.6, scores(0.6, 0.3, 0.1)) == Shown("cat", 0.6)
    assert shown("cat", 0.5, {"neither": 0.5, "cat": 0.5}) == Shown("cat", 0.5), "decide files it as a cat"


def test_a_file_without_a_prediction_shows_no_word_and_no_number() -> None:
    assert shown(None, None, None) == Shown(None, None)
    assert shown("cat", 0.9, None) == Shown("cat", 0.9)
    assert shown("cat", None, None) == Shown("cat", None)
    assert shown("cat", None, scores(0.7, 0.3)) == Shown("cat", 0.7), "a removed row keeps no confidence"


def test_a_row_gets_the_word_and_the_number_behind_what_it_has() -> None:
    row = {"prediction": "dog", "confidence": 0.1, "scores": scores(0.0, 0.1, 0.9)}
    assert list(with_shown(row).items())[-2:] == [("shown", "neither"), ("shown_probability", 0.9)]


@given(st.dictionaries(st.sampled_from(["cat", "dog", "neither", "x"]), st.floats(0, 1)), st.booleans())
def test_what_is_shown_agrees_with_the_decision(found: dict[str, float], both: bool) -> None:
    found |= {"cat": found.get("cat", 0.0), "dog": found.get("dog", 0.0)}
    decision = decide(found, POLICY, both)
    answer = shown(decision.prediction, decision.confidence, found)
    assert answer.probability == found[str(answer.label)] == max(found.values())
    assert (answer.label not in POLICY.folders) is (max(found.values()) > decision.confidence)
