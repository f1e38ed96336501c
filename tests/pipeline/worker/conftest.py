"""Fixtures of the tests of the worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.learning import versions
from tests.support.installation import SMALL, Installation
from tests.support.learner import Learner

pytest.register_assert_rewrite("tests.pipeline.worker.repeats")


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """An installation with two inboxes whose worker does not wait, for as many workers as a test needs."""
    pawsort = Installation(tmp_path, SMALL)
    yield pawsort
    pawsort.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr("pipeline.watch.stability.LONGEST_REST_SECONDS", 0.05)


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    """An installation whose model has versions."""
    versions.warn_once.cache_clear()
    learner = Learner(tmp_path)
    yield learner
    learner.close()
