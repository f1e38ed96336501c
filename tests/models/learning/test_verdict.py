from __future__ import annotations

import math
from typing import Any

import pytest

from models.calibration import wilson
from models.learning import mcnemar
from models.learning.record import Comparison, Contradiction, Figures, Pair, Share
from models.learning.verdict import verdict


def share(hits: int, count: int) -> Share:
    low, high = wilson(hits, count)
    return Share(value=hits / count if count else None, low=low, high=high, count=count)


def figures(right: int = 980, precise: int = 640, filed: int = 640, neither: int = 3) -> Figures:
    return Figures(
        accuracy=share(right, 1000),
        precision=share(precise, filed),
        coverage=share(filed, 670),
        neither_filed=share(neither, 330),
    )


def a_pair(gained: int, lost: int, photos: int, after: Figures | None = None) -> Pair:
    value, low, high = mcnemar.difference(gained, lost, photos)
    return Pair(
        champion=figures(),
        challenger=after or figures(),
        photos=photos,
        only_champion_right=lost,
        only_challenger_right=gained,
        p_value=mcnemar.two_sided(lost, gained),
        difference=value,
        difference_low=low,
        difference_high=high,
    )


def comparison(contradictions: int = 0, **changes: Any) -> Comparison:
    one = Contradiction(id=1, sha256="0" * 64, label="cat", answer="dog")
    content = {
        "champion": "base",
        "challenger": "base@1",
        "target_precision": 0.995,
        "base": a_pair(2, 3, 1000),
        "own": a_pair(9, 1, 60),
        "checked": 100,
        "contradictions": [one] * contradictions,
        "new_labels": [],
        "base_neither": 330,
        "base_neither_left_out": 0,
        "without_crops": 0,
    }
    return Comparison(**(content | changes))


def test_better_on_ones_own_and_not_worse_on_the_base_is_promoted():
    found = verdict(comparison())
    assert found.better and "8 more of 60" in found.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"own": a_pair(4, 0, 60)}, "not shown to be better"),  # four flips may be chance
        ({"own": a_pair(5, 3, 60)}, "alone is right about 5, the one in force alone about 3"),
        ({"own": a_pair(0, 0, 0)}, "judge more photos"),
        ({"base": a_pair(1, 12, 1000)}, "worse on the photos of the base"),
        ({"base": a_pair(2, 3, 1000, figures(right=960))}, "accuracy on the photos of the base"),
        ({"base": a_pair(2, 3, 1000, figures(precise=625))}, "precision"),
        ({"base": a_pair(2, 3, 1000, figures(neither=20))}, "photos of neither"),
        ({"base": a_pair(2, 3, 1000, figures(precise=500, filed=500))}, "coverage"),
        ({"base": None}, "a person has to decide"),
        ({"base": a_pair(0, 0, 0)}, "a person has to decide"),
        ({"contradictions": 15}, "labels seem wrong: both models contradict 15 of 100"),
        ({"new_labels": ["horse"], "base_neither_left_out": 40}, "40 of 330 photos of neither for horse"),
    ],
)
def test_it_is_not_promoted_otherwise_and_the_reason_says_why(changes: dict[str, Any], words: str):
    found = verdict(comparison(**changes))
    assert not found.better and words in found.reason


def test_more_of_ones_own_photos_in_wrong_folders_than_promised_is_not_better():
    """It may be right about more of them and still file some that the one in force left uncertain."""
    wrongly = a_pair(9, 1, 60, figures(precise=33, filed=36))
    found = verdict(comparison(own=wrongly))
    assert not found.better
    assert "files 3 of 36 judged photos in a wrong folder, before 0" in found.reason
    before = wrongly.model_copy(update={"champion": figures(precise=30, filed=34)})
    assert verdict(comparison(own=before)).better, "no more than before"
    assert verdict(comparison(own=a_pair(9, 1, 60, figures(precise=35, filed=36)))).better, "may be chance"
    assert verdict(comparison(own=wrongly, target_precision=0.9)).better, "as many as promised"


def test_a_few_contradictions_and_a_few_doubtful_photos_do_not_matter():
    assert verdict(comparison(contradictions=8)).better
    assert verdict(comparison(contradictions=1, checked=8)).better
    assert verdict(comparison(new_labels=["horse"], base_neither_left_out=10)).better


def test_mcnemars_exact_test_is_that_of_the_binomial():
    assert mcnemar.two_sided(0, 0) == 1
    assert mcnemar.two_sided(3, 3) == 1
    assert mcnemar.two_sided(1, 9) == pytest.approx(2 * (10 + 1) / 2**10)
    assert mcnemar.at_least(5, 5) == 1 / 32
    assert 0 < mcnemar.two_sided(2000, 2200) < 0.01
    assert mcnemar.at_least(1, 2, 0.1) == pytest.approx(0.19)
    assert mcnemar.at_least(0, 9, 0.1) == 1
    assert mcnemar.at_least(9_990, 10_000, 0.995) < 1e-6
    assert (mcnemar.at_least(0, 9, 0.0), mcnemar.at_least(1, 9, 0.0)) == (1, 0)


def test_the_interval_of_a_difference_holds_it_and_is_wide_without_flips():
    value, low, high = mcnemar.difference(9, 1, 60)
    assert value == pytest.approx(8 / 60) and low < value < high and low > 0
    value, low, high = mcnemar.difference(0, 0, 50)
    assert value == 0 and low < 0 < high and math.isclose(low, -high)
    assert mcnemar.difference(0, 0, 0) == (0, -1, 1)
