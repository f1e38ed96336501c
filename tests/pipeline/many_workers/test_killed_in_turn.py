"""Three workers on one PostgreSQL, each killed in turn, the server crashed, a fourth joining."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fork_server import ForkServer
from tests.support.many_workers import ManyWorkers, Plan
from tests.support.postgres_server import PostgresServer, programs


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    if programs() is None:
        pytest.skip("PostgreSQL is not here: no /usr/lib/postgresql/*/bin")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("photos", "kills"), [(40, 3), pytest.param(800, 40, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_each_file_has_one_row_and_no_worker_touches_anothers(
    tmp_path: Path, fork_server: ForkServer, postgres_server: PostgresServer, photos: int, kills: int
) -> None:
    soak = ManyWorkers(tmp_path, Plan(photos, kills), fork_server, postgres_server)
    figures = soak.run()
    assert (figures["machines"], figures["kills"], figures["crashes_of_the_server"]) == (4, kills, 2)
    assert figures["rows_of_the_ghost"]["filed"]
    assert figures["copies_on_other_machines"] >= 3, "the last photo of each but the first"
