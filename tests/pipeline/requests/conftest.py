"""Two machines, ann's and bob's, whose workers share one PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import create_engine

from tests.db.conftest import postgres, postgres_made  # noqa: F401 - fixtures
from tests.support.machine import Machine


class Two(NamedTuple):
    """Two machines that share a database."""

    ann: Machine
    bob: Machine


def emptied(url: str) -> str:
    """Empty a finished database, which is quicker than making one."""
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        tables = "files, moves, reports, requests, spot_checks, backfill_loads, workers"
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY")
        connection.exec_driver_sql("INSERT INTO workers (name) VALUES (NULL)")
    server.dispose()
    return url


@pytest.fixture
def two(tmp_path: Path, postgres_made: str) -> Iterator[Two]:  # noqa: F811
    url = emptied(postgres_made)
    machines = Two(*(Machine(tmp_path / name, url, name) for name in ("ann", "bob")))
    yield machines
    for machine in machines:
        machine.close()
