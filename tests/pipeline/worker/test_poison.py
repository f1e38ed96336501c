"""Files that no decoder or network survives."""

from __future__ import annotations

import errno
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.worker.steps import intake
from pipeline.worker.steps.crash_loop import SAMPLE_ID
from tests.support.installation import Installation, run_until_idle, step_until
from tests.support.oracle import conserved
from tests.support.stub_classifier import BrokenClassifier, StubClassifier


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
def test_many_poisons_in_a_row_fail_and_are_no_fault_of_the_classifier(pawsort: Installation) -> None:
    for n in range(16):
        pawsort.drop(f"{n}.jpg", f"{n}<crash>".encode())
    pawsort.drop("a.jpg", b"<cat>")
    worker = pawsort.worker()
    run_until_idle(worker)
    assert worker.outcomes == {"failed": 16, "cats": 1}
    assert SAMPLE_ID in pawsort.classifier.alone and worker.in_flight.classify.crash_loop is None
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(50, 53)
def test_photos_wait_while_the_classifier_crashes_with_the_sample_too(pawsort: Installation) -> None:
    for n in range(20):
        pawsort.drop(f"{n}.jpg", f"{n}<cat>".encode())
    classifier = BrokenClassifier()
    worker = pawsort.worker(classifier)
    worker.start()
    step_until(worker, lambda: worker.in_flight.classify.crash_loop)
    for _ in range(50):
        worker.step()
    assert not worker.outcomes
    health, reasons = worker.in_flight.health(None, None, 0)
    assert (health, reasons) == ("red", ("the classifier crashes with every photo: killed by SIGKILL",))
    classifier.is_broken = False
    run_until_idle(worker)
    assert not list(Path(tempfile.gettempdir()).glob("pawsort-*.jpg"))
    assert worker.outcomes == {"cats": 20} and worker.in_flight.classify.crash_loop is None
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

    monkeypatch.setattr("pipeline.worker.steps.intake.is_settled", corrupt)
    worker = pawsort.run_worker()
    assert len(pawsort.sorted()) == 6
    assert worker.in_flight.left == 1
    assert os.path.exists(odd)
