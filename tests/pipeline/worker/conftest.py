"""Fixtures of the tests of the worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import SMALL, Installation


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """An installation with two inboxes whose worker does not wait, for as many workers as a test needs."""
    pawsort = Installation(tmp_path, SMALL)
    yield pawsort
    pawsort.close()
