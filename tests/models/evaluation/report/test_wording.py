"""Figures in the words of cards, pages and commands."""

from __future__ import annotations

import pytest

from models.evaluation.report.wording import number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.99998, "0.99998"), (0.9999999, "0.9999999"), (1.0, "1.0000"), (0.25, "0.2500"), (None, "–")],
)
def test_a_number_below_one_does_not_become_one(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_share_below_all_does_not_become_all() -> None:
    assert (percent(0.9996), percent(1.0)) == ("99.96%", "100.0%")
