"""Fixtures of the tests of the worker as a program."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.connection.engine import open_database
from tests.db.conftest import create_database, postgres

__all__ = ["postgres"]


@pytest.fixture
def server(postgres: str) -> Iterator[Engine]:
    """A new database on PostgreSQL, which may have many workers."""
    engine = open_database(create_database(postgres))
    yield engine
    engine.dispose()
