"""Requests to a real worker: how soon it carries them out, and what a kill in the middle of them leaves."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from db.queries import requests as queries
from db.queries.requests import Request
from pipeline.corrections.correct_undo_retry import Known
from pipeline.corrections.recorded_move import Change
from pipeline.requests.asking import Asker
from tests.pipeline.requests.conftest import Two
from tests.support.fork_server import ForkServer
from tests.support.installation import wait
from tests.support.oracle import conserved
from tests.support.stub_worker import Order

UNSURE = {"reason": "low_confidence", "confidence": 0.5}
SOON = 3.0
"""Seconds, of which a busy machine may need some; half a second passes between two looks."""


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def not_here(_: object) -> list[Change]:
    raise AssertionError("no file is of this machine")


def asked(two: Two, ids: list[int]) -> list[Request]:
    """Let ann ask for a correction of each of these files; return the requests."""
    asker = Asker(two.ann.everyone, two.ann.id, "ann", "page")
    changes = asker.change([Known(id, 0) for id in ids], "correct", not_here, "dog")
    found = [queries.request(two.ann.everyone, change.request or 0) for change in changes]
    return [request for request in found if request]


def test_a_worker_carries_requests_out_soon_and_those_of_before_it_started(
    two: Two, fork_server: ForkServer
) -> None:
    ids = [two.bob.file(b"%d.jpg" % n, b"<cat>%d" % n, "uncertain", **UNSURE) for n in range(3)]
    asked(two, ids[:1])
    worker = fork_server.worker(Order(folder=str(two.bob.folder)))
    wait(lambda: two.bob.state(ids[0])[1] == "dogs", "the request of before")
    began = time.monotonic()
    asked(two, ids[1:])
    wait(lambda: not queries.count_open(two.ann.everyone), "the requests", SOON)
    print(f"carried out after {time.monotonic() - began:.2f} s")
    worker.signal(15)
    assert worker.wait() == 128 + 15
    once = two.bob.file(b"once.jpg", b"<cat>once", "uncertain", **UNSURE)
    asked(two, [once])
    assert fork_server.worker(Order(folder=str(two.bob.folder), once=True)).wait() == 0
    assert two.bob.state(once)[1] == "dogs"


@pytest.mark.parametrize("seed", range(2))
def test_a_worker_that_is_killed_in_the_middle_does_each_request_once(
    two: Two, fork_server: ForkServer, seed: int
) -> None:
    rng = random.Random(seed)
    contents = [b"<cat>%d" % n for n in range(12)]
    ids = [two.bob.file(b"%d.jpg" % n, data, "uncertain", **UNSURE) for n, data in enumerate(contents)]
    requests = asked(two, ids)
    kills = 0
    while left := queries.count_open(two.ann.everyone).get(two.bob.id, 0):
        worker = fork_server.worker(Order(folder=str(two.bob.folder)))
        wait(lambda: queries.count_open(two.ann.everyone).get(two.bob.id, 0) < left, "a request")
        time.sleep(rng.random() / 20)
        worker.kill()
        kills += 1
    assert kills > 1
    fork_server.worker(Order(folder=str(two.bob.folder), once=True)).wait()
    for id, request in zip(ids, requests, strict=True):
        done = queries.request(two.ann.everyone, request.id)
        assert done and (done.is_open, done.problem) == (False, None)
        assert [(move.by, move.new_corrected_to) for move in two.bob.ledger.moves(id)] == [("ann", "dog")]
        assert two.bob.state(id)[1] == "dogs"
    conserved(two.bob.settings, contents)
