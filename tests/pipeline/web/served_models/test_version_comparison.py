from __future__ import annotations

import pytest

from models.learning import verdict
from models.learning.mcnemar import at_least
from pipeline.web.served_models.version_comparison import chance


@pytest.mark.parametrize(
    ("better", "worse", "said"),
    [
        (7, 1, "Chance alone would give that in fewer than 1 of 20 comparisons."),
        (6, 1, "That can be chance: a model that is no better is as far ahead in 6.2 % of such comparisons."),
        (1, 7, "That can be chance: equally good models differ as much in 7 % of such comparisons."),
        (4, 4, "That can be chance: equally good models differ as much in nearly all such comparisons."),
        (0, 9, "Chance alone would give that in fewer than 1 of 200 comparisons."),
    ],
)
def test_a_difference_is_said_to_be_chance_or_not(better: int, worse: int, said: str) -> None:
    assert chance(better, worse) == said


def test_the_page_calls_no_difference_chance_that_the_verdict_calls_better() -> None:
    for better in range(30):
        for worse in range(better):
            is_shown = at_least(better, better + worse) <= verdict.SIGNIFICANT
            assert chance(better, worse).startswith("Chance alone") == is_shown
