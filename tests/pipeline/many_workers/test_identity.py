"""A worker's name and token, and its end while the server is down."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event, Timer

import pytest

from db.connection import postgres
from db.connection.engine import DatabaseReserved, assert_in_place, open_database, reserved
from db.connection.errors import DatabaseError, DatabaseUnavailable
from db.ledger import workers
from db.queries.workers import all_workers, running_workers
from pipeline.worker import identity
from pipeline.worker.identity import own_id, this_worker
from tests.pipeline.many_workers.conftest import Machine
from tests.support.installation import wait


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


def test_a_copy_of_a_state_folder_takes_no_name_from_the_worker_that_runs(ann: Machine, bob: Machine) -> None:
    with this_worker(ann.everyone, ann.settings):
        (bob.settings.state / identity.FILE_NAME).write_bytes(
            (ann.settings.state / identity.FILE_NAME).read_bytes()
        )
        renamed = bob.settings.model_copy(update={"worker": "carl"})
        with pytest.raises(DatabaseReserved, match="copy of this state folder"):
            this_worker(ann.everyone, renamed, 0.0).__enter__()
        assert [worker.name for worker in all_workers(ann.everyone)] == ["ann", "bob"]
        assert identity.remembered(bob.settings.state) == identity.remembered(ann.settings.state)


def test_a_worker_that_starts_has_its_new_name(ann: Machine) -> None:
    renamed = ann.settings.model_copy(update={"worker": "anna"})
    with this_worker(ann.everyone, renamed):
        assert [worker.name for worker in all_workers(ann.everyone)] == ["anna"]
    known = identity.remembered(ann.settings.state)
    assert known is not None
    assert known.name == "anna"


def test_a_name_that_is_refused_is_not_remembered(ann: Machine, bob: Machine) -> None:
    taken = bob.settings.model_copy(update={"worker": "ann"})
    with pytest.raises(DatabaseReserved, match="--take-over ann"):
        this_worker(ann.everyone, taken).__enter__()
    known = identity.remembered(bob.settings.state)
    assert known is not None
    assert known.name == "bob"


def test_a_worker_whose_place_was_taken_over_ends_also_if_it_was_asleep(
    ann: Machine, bob: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine sleeps, the server frees its lock, another takes over, and it wakes before that starts."""
    monkeypatch.setattr(postgres, "CHECK_SECONDS", 0.0)
    (bob.settings.state / identity.FILE_NAME).unlink()
    with this_worker(ann.everyone, ann.settings) as own:
        assert_in_place(own)
        with bob.everyone.connect() as connection:
            end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            connection.exec_driver_sql(end)
        wait(lambda: running_workers(bob.everyone) == set(), "the end of its session")
        identity.take_over(bob.everyone, bob.settings, "ann")
        with pytest.raises(DatabaseReserved, match="taken over"):
            assert_in_place(own)


def test_a_place_that_is_taken_over_while_its_worker_starts_is_not_taken_back(
    ann: Machine, bob: Machine
) -> None:
    (bob.settings.state / identity.FILE_NAME).unlink()
    who = identity.identity(ann.settings)
    identity.take_over(bob.everyone, bob.settings, "ann")
    with pytest.raises(DatabaseReserved, match="of another state folder"):
        workers.started(ann.everyone, ann.id, *who, datetime.now(UTC))
    assert own_id(bob.everyone, bob.settings) == ann.id
