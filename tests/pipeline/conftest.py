"""Fixtures of the tests of `pipeline`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crash import Mortal
from tests.support.installation import Installation


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Mortal:
    """What dies at the n-th change of a file."""
    return Mortal(monkeypatch)


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """An installation with the usual settings, in which no worker has been yet."""
    pawsort = Installation(tmp_path)
    yield pawsort
    pawsort.close()
