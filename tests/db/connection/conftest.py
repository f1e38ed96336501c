"""A finished SQLite database, and an engine on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connection.engine import (
    open_database,
)

FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path, sqlite_made: Path) -> Path:
    return Path(shutil.copy(sqlite_made, tmp_path))


@pytest.fixture
def sqlite_engine(path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{path}")
    yield engine
    engine.dispose()
