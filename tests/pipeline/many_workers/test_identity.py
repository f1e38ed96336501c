"""A worker's name and token, and its end while the server is down."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer

import pytest

from db.connection.engine import DatabaseReserved, open_database, reserved
from db.connection.errors import DatabaseError, DatabaseUnavailable
from db.ledger import workers
from db.queries.workers import all_workers, running_workers
from pipeline.worker import identity
from pipeline.worker.identity import own_id, this_worker
from tests.pipeline.many_workers.conftest import Machine


def test_a_worker_runs_until_its_block_ends(ann: Machine, bob: Machine) -> None:
    with this_worker(ann.everyone, ann.settings) as own:
        assert running_workers(bob.everyone) == {ann.id}
        assert own.get_execution_options() != ann.everyone.get_execution_options()
    assert running_workers(bob.everyone) == set()
    assert [bool(worker.stopped_at) for worker in all_workers(ann.everyone)] == [True, False]


def test_it_waits_until_the_server_has_noticed_the_end_of_the_one_before(ann: Machine) -> None:
    """A machine that lost its power is up again before that."""
    held, free = Event(), Event()

    def hold() -> None:
        with reserved(ann.engine):
            held.set()
            free.wait(60)

    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(hold)
        held.wait(60)
        with pytest.raises(DatabaseReserved), this_worker(ann.everyone, ann.settings, 0.0):
            pass
        Timer(0.3, free.set).start()
        with this_worker(ann.everyone, ann.settings, 60.0):
            pass
        before.result()


def test_an_end_that_cannot_be_recorded_is_no_failure(
    ann: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseUnavailable("the server is down")

    monkeypatch.setattr(identity.ledger, "stopped", refuse)
    with caplog.at_level(logging.WARNING), this_worker(ann.everyone, ann.settings):
        pass
    assert "the server is down" in caplog.text


def test_a_state_folder_that_no_worker_of_the_database_has_owns_nothing(ann: Machine, bob: Machine) -> None:
    (bob.settings.state / identity.FILE_NAME).unlink()
    assert own_id(ann.everyone, bob.settings) == 0
    assert own_id(ann.everyone, ann.settings) == ann.id


def test_workers_that_start_at_once_make_the_tables_once_and_each_gets_an_id(postgres_url: str) -> None:
    names = [f"worker{number}" for number in range(6)]

    def start(name: str) -> int:
        engine = open_database(postgres_url)
        try:
            return workers.register(engine, name, name * 4)
        finally:
            engine.dispose()

    with ThreadPoolExecutor(len(names)) as pool:
        ids = list(pool.map(start, names))
    assert sorted(ids) == [1, 2, 3, 4, 5, 6]


def test_of_two_that_start_at_once_under_one_name_one_is_refused(postgres_url: str) -> None:
    open_database(postgres_url).dispose()

    def start(token: str) -> str:
        engine = open_database(postgres_url)
        try:
            return str(workers.register(engine, "ann", token))
        except DatabaseError as error:
            return type(error).__name__
        finally:
            engine.dispose()

    with ThreadPoolExecutor(2) as pool:
        done = sorted(pool.map(start, ("a" * 32, "b" * 32)))
    assert done[0] == "1"
    assert done[1] in ("DatabaseReserved", "DatabaseError")
