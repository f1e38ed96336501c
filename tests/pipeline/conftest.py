"""Fixtures of the tests of `pipeline`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crash import Mortal
from tests.support.house import House
from tests.support.world import World


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Mortal:
    """What dies at the n-th change of a file."""
    return Mortal(monkeypatch)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty house."""
    house = House(tmp_path)
    yield house
    house.engine.dispose()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Folders and a database, for as many workers as a test needs."""
    world = World(tmp_path)
    yield world
    world.close()
