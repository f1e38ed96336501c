"""Files that no decoder or network survives."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import Any

import pytest

from pipeline.worker import claim
from tests.support.oracle import conserved
from tests.support.stub_classifier import StubClassifier
from tests.support.world import World, run_until_idle


@pytest.mark.fault(32)
def test_what_is_empty_or_too_large_fails_without_a_decoder(world: World) -> None:
    world.drop("empty.jpg", b"")
    world.drop("large.jpg", b"x" * 1001)
    worker = world.live()
    assert set(world.rows()) == {("empty.jpg", "failed", "empty"), ("large.jpg", "failed", "too_large")}
    assert worker.outcomes == {"failed": 2}


@pytest.mark.fault(50, 52)
def test_poison_fails_alone_and_its_neighbours_are_filed(world: World) -> None:
    for n in range(3):
        world.drop(f"{n}.jpg", f"{n}<cat>".encode())
    world.drop("poison.jpg", b"<crash>")
    world.drop("hang.jpg", b"<hang>")
    world.live()
    outcomes = {name: (outcome, reason) for name, outcome, reason in world.rows()}
    assert outcomes.pop("poison.jpg") == ("failed", "decoder_crashed")
    assert outcomes.pop("hang.jpg") == ("failed", "timeout")
    assert set(outcomes.values()) == {("cats", None)}
    assert max(Counter(world.classifier.alone).values()) == world.settings.limits.attempts
    conserved(world.settings, world.injected)


@pytest.mark.fault(54, 55)
def test_poison_that_kills_the_worker_too_is_known_after_restarts(world: World) -> None:
    world.drop("poison.jpg", b"<cat>")

    class Killer(StubClassifier):
        def poll(self, timeout: float) -> Any:
            if self.in_flight:
                raise SystemExit("killed with the decoder")
            return []

    for _ in range(world.settings.limits.attempts):
        with pytest.raises(SystemExit):
            run_until_idle(world.worker(Killer()))
    world.live()
    assert world.rows() == [("poison.jpg", "failed", "decoder_crashed")]
    conserved(world.settings, world.injected)


def test_an_interruption_by_us_does_not_count_against_a_file(world: World) -> None:
    world.drop("slow.jpg", b"<cat>")

    class Slow(StubClassifier):
        def poll(self, timeout: float) -> Any:
            return []

    for _ in range(world.settings.limits.attempts + 1):
        clock = iter(range(0, 10**6, 3))
        worker = world.worker(Slow(), monotonic=lambda clock=clock: float(next(clock)))
        worker.start()
        for _ in range(20):
            worker.step()
        assert worker.in_flight.held == 1
        worker.stop()
    world.live()
    assert world.rows() == [("slow.jpg", "cats", None)]


@pytest.mark.fault(57)
def test_a_broken_engine_stops_the_worker_and_leaves_the_file(world: World) -> None:
    from pipeline.errors import ModelError

    world.drop("a.jpg", b"<broken>")
    worker = world.worker()
    with pytest.raises(ModelError, match="broken"):
        run_until_idle(worker)
    worker.stop()
    assert world.rows("outcome") == [(None,)]
    conserved(world.settings, world.injected, idle=False)


def test_one_odd_file_harms_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        world.drop(f"{n}.jpg", f"{n}<cat>".encode())
    odd = world.drop("odd.jpg", b"odd<cat>")
    settled = claim.is_settled

    def corrupt(arrival: Any) -> bool:
        if arrival.source == b"odd.jpg":
            raise OSError(errno.EUCLEAN, "Structure needs cleaning")
        return settled(arrival)

    monkeypatch.setattr("pipeline.worker.claim.is_settled", corrupt)
    worker = world.live()
    assert len(world.sorted()) == 6
    assert worker.in_flight.left == 1
    assert os.path.exists(odd)
