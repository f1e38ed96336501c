"""Texts of the reasons: each reason that the worker records has one."""

from __future__ import annotations

from typing import get_args

import pytest

from pipeline.reasons import REASONS, because, brief, why
from tests.docs import test_docs


def test_each_reason_has_a_text() -> None:
    words = *get_args(test_docs.Doubt), *get_args(test_docs.LossReason), *test_docs.REFUSALS
    assert set(REASONS) == {*words, test_docs.IMPORTED}


@pytest.mark.parametrize(
    ("reason", "texts"),
    [
        ("not_an_image", ("not an image", "the file's content is not an image")),
        ("made_by_a_later_version", ("made by a later version", "made_by_a_later_version")),
        (None, ("unknown reason", "the reason is unknown")),
    ],
)
def test_a_reason_is_shown_in_brief_and_as_a_sentence(reason: str | None, texts: tuple[str, str]) -> None:
    assert (brief(reason), because(reason)) == texts
    assert why(reason) == f"{texts[1][0].upper()}{texts[1][1:]}."
