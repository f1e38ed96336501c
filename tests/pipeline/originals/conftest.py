"""Fixtures of the tests of originals that stay where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.installation import SMALL, Installation

ACTIONS = ("copy", "hardlink", "symlink")


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[[str], Installation]]:
    """Make an installation whose first inbox has an action, and whose second moves."""
    made: list[Installation] = []

    def make(action: str, more: str = "") -> Installation:
        text = SMALL.replace("[inbox, scans]", f"[{{path: inbox, action: {action}}}, scans]")
        made.append(Installation(tmp_path, text + more))
        return made[-1]

    yield make
    for pawsort in made:
        pawsort.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))


@pytest.fixture(params=ACTIONS)
def pawsort(request: pytest.FixtureRequest, install: Callable[[str], Installation]) -> Installation:
    """An installation with each of the actions."""
    return install(request.param)
