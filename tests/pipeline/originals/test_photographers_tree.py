"""The tree of a photographer: nothing is separated, originals stay as they are, and an undo gives it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.photographer import ACTIONS, check


@pytest.mark.parametrize("action", ACTIONS)
def test_the_tree_of_a_photographer_is_filed_in_groups_and_given_back(tmp_path: Path, action: str) -> None:
    seen = check(tmp_path, action, 150)
    assert seen.well, seen
    assert seen.photos + seen.companions == seen.files - 7  # the catalogues, and two sidecars without a photo
