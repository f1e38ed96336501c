"""Fixtures of the tests of companions."""

from __future__ import annotations

import pytest


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr("pipeline.watch.stability.LONGEST_REST_SECONDS", 0.05)
