"""A worker's name and token, and its end while the server is down."""

from __future__ import annotations

import logging

import pytest

from db.connection.errors import DatabaseUnavailable
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
