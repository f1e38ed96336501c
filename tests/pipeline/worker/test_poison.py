"""Files that no decoder or network survives."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import Any

import pytest

from pipeline.worker import intake
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved
from tests.support.stub_classifier import StubClassifier


@pytest.mark.fault(32)
def test_what_is_empty_or_too_large_fails_without_a_decoder(pawsort: Installation) -> None:
    pawsort.drop("empty.jpg", b"")
    pawsort.drop("large.jpg", b"x" * 1001)
    worker = pawsort.run_worker()
    assert set(pawsort.rows()) == {("empty.jpg", "failed", "empty"), ("large.jpg", "failed", "too_large")}
    assert worker.outcomes == {"failed": 2}


@pytest.mark.fault(50, 52)
def test_poison_fails_alone_and_its_neighbours_are_filed(pawsort: Installation) -> None:
    for n in range(3):
        pawsort.drop(f"{n}.jpg", f"{n}<cat>".encode())
    pawsort.drop("poison.jpg", b"<crash>")
    pawsort.drop("hang.jpg", b"<hang>")
    pawsort.run_worker()
    outcomes = {name: (outcome, reason) for name, outcome, reason in pawsort.rows()}
    assert outcomes.pop("poison.jpg") == ("failed", "decoder_crashed")
    assert outcomes.pop("hang.jpg") == ("failed", "timeout")
    assert set(outcomes.values()) == {("cats", None)}
    assert max(Counter(pawsort.classifier.alone).values()) == pawsort.settings.limits.attempts
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(50)
def test_a_classifier_that_answers_nothing_is_red_until_it_answers_or_no_file_waits(
    pawsort: Installation,
) -> None:
    def is_red() -> bool:
        health, reasons = worker.in_flight.health(None, None, 0)
        return health == "red" and "ended 10 times in a row without an answer: killed by" in reasons[0]

    for n in range(10):
        pawsort.drop(f"{n}.jpg", f"{n}<crash>".encode())
    worker = pawsort.worker()
    worker.start()
    step_until(worker, is_red)
    pawsort.drop("a.jpg", b"<cat>")
    step_until(worker, lambda: worker.outcomes["cats"])
    assert not is_red()
    for n in range(10, 16):
        pawsort.drop(f"{n}.jpg", f"{n}<crash>".encode())
    step_until(worker, is_red)
    run_until_idle(worker)
    assert worker.outcomes == {"failed": 16, "cats": 1} and not is_red()
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(54, 55)
def test_poison_that_kills_the_worker_too_is_known_after_restarts(pawsort: Installation) -> None:
    pawsort.drop("poison.jpg", b"<cat>")

    class Killer(StubClassifier):
        def poll(self, timeout: float) -> Any:
            if self.in_flight:
                raise SystemExit("killed with the decoder")
            return []

    for _ in range(pawsort.settings.limits.attempts):
        with pytest.raises(SystemExit):
            run_until_idle(pawsort.worker(Killer()))
    pawsort.run_worker()
    assert pawsort.rows() == [("poison.jpg", "failed", "decoder_crashed")]
    conserved(pawsort.settings, pawsort.injected)


def test_an_interruption_by_us_does_not_count_against_a_file(pawsort: Installation) -> None:
    pawsort.drop("slow.jpg", b"<cat>")

    class Slow(StubClassifier):
        def poll(self, timeout: float) -> Any:
            return []

    for _ in range(pawsort.settings.limits.attempts + 1):
        clock = iter(range(0, 10**6, 3))
        worker = pawsort.worker(Slow(), monotonic=lambda clock=clock: float(next(clock)))
        worker.start()
        for _ in range(20):
            worker.step()
        assert worker.in_flight.held == 1
        worker.stop()
    pawsort.run_worker()
    assert pawsort.rows() == [("slow.jpg", "cats", None)]


@pytest.mark.fault(57)
def test_a_broken_engine_stops_the_worker_and_leaves_the_file(pawsort: Installation) -> None:
    from pipeline.errors import ModelError

    pawsort.drop("a.jpg", b"<broken>")
    worker = pawsort.worker()
    with pytest.raises(ModelError, match="broken"):
        run_until_idle(worker)
    worker.stop()
    assert pawsort.rows("outcome") == [(None,)]
    conserved(pawsort.settings, pawsort.injected, idle=False)


def test_one_odd_file_harms_no_other(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        pawsort.drop(f"{n}.jpg", f"{n}<cat>".encode())
    odd = pawsort.drop("odd.jpg", b"odd<cat>")
    settled = intake.is_settled

    def corrupt(arrival: Any) -> bool:
        if arrival.source == b"odd.jpg":
            raise OSError(errno.EUCLEAN, "Structure needs cleaning")
        return settled(arrival)

    monkeypatch.setattr("pipeline.worker.intake.is_settled", corrupt)
    worker = pawsort.run_worker()
    assert len(pawsort.sorted()) == 6
    assert worker.in_flight.left == 1
    assert os.path.exists(odd)
