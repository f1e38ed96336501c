"""A child may crash, hang or send nonsense: the parent knows which files it had in work, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.classifier.client import ChildLost, ProcessClassifier
from pipeline.classifier.messages import Explain
from pipeline.settings.sections import LimitSettings
from tests.pipeline.classifier.conftest import ROOT, Clock, Files, collect, gone, make, until_ready
from tests.support.stub_classifier import (
    LABELS,
    stumbling_child,
)


def test_importing_the_classifier_imports_no_tensorflow() -> None:
    found = "any(m in sys.modules for m in ('tensorflow', 'keras'))"
    code = f"import sys, pipeline.classifier.client; sys.exit({found})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_batches_come_back_whole_and_in_order(classifier: ProcessClassifier, files: Files) -> None:
    assert (classifier.labels, classifier.engine_name, classifier.starts) == (LABELS, "stub", 1)
    classifier.submit(files(b"<cat>", b"<truncated>", b"<dog>"))
    classifier.submit(files(b"<neither>", first=4))
    assert classifier.in_flight == 2
    first, second = collect(classifier), collect(classifier)
    assert [(f.id, f.reason, max(f.scores or {"": 0})) for f in first] == [
        (1, None, "neither"), (2, "truncated", ""), (3, None, "neither"),
    ]  # fmt: skip
    assert [f.id for f in second] == [4]
    assert first[2].scores
    assert first[2].scores["dog"] == 0.998
    assert classifier.in_flight == 0
    assert classifier.poll(0.0) == []


@pytest.mark.parametrize(
    ("poison", "detail"),
    [
        (b"<crash>", "killed by SIGSEGV"),
        (b"<abort>", "killed by SIGABRT"),
        (b"<exit>", "exit code 3"),
        (b"<memory>", "exit code 1: out of memory: no room for pixels"),
    ],
)
@pytest.mark.fault(50, 51)
def test_a_dead_child_gives_up_all_in_flight_once_and_can_be_started_again(
    classifier: ProcessClassifier, files: Files, poison: bytes, detail: str, capfd: pytest.CaptureFixture[str]
) -> None:
    classifier.submit(files(*[b"<cat>"] * 7, poison))
    classifier.submit(files(b"<dog>", first=9))
    with pytest.raises(ChildLost) as lost:
        collect(classifier)
    assert (lost.value.ids, lost.value.reason) == ((1, 2, 3, 4, 5, 6, 7, 8, 9), "decoder_crashed")
    assert lost.value.detail.startswith(detail)
    assert (classifier.in_flight, classifier.pid, classifier.poll(0.0)) == (0, None, [])
    until_ready(classifier)
    classifier.submit(files(b"<dog>", first=9))
    assert [f.id for f in collect(classifier)] == [9]
    assert classifier.starts == 2
    assert capfd.readouterr() == ("", "")


def test_a_finished_batch_is_not_lost_with_the_child_that_dies_on_the_next(
    classifier: ProcessClassifier, files: Files
) -> None:
    classifier.submit(files(b"<cat>"))
    classifier.submit(files(b"<crash>", first=2))
    assert [f.id for f in collect(classifier)] == [1]
    with pytest.raises(ChildLost) as lost:
        collect(classifier)
    assert lost.value.ids == (2,)


def test_a_child_that_dies_idle_is_noticed(classifier: ProcessClassifier) -> None:
    assert classifier.pid
    os.kill(classifier.pid, signal.SIGKILL)
    with pytest.raises(ChildLost) as lost:
        collect(classifier)
    assert (lost.value.ids, lost.value.detail) == ((), "killed by SIGKILL")


@pytest.mark.fault(52)
def test_the_clock_of_a_batch_runs_from_when_the_one_before_it_is_finished(
    classifier: ProcessClassifier, files: Files, clock: Clock
) -> None:
    classifier.submit(files(b"<cat>"))
    classifier.submit(files(b"<hang>", first=2))
    pid = classifier.pid
    assert pid
    clock.now += 29
    collect(classifier)
    clock.now += 29
    assert classifier.poll(0.05) == []
    clock.now += 2
    with pytest.raises(ChildLost) as lost:
        classifier.poll(10.0)
    assert (lost.value.ids, lost.value.reason, lost.value.detail) == (
        (2,),
        "timeout",
        "no progress within 30 s",
    )
    assert gone(pid)


def test_progress_gives_a_batch_of_large_photos_more_time(
    classifier: ProcessClassifier, files: Files, clock: Clock
) -> None:
    classifier.submit(files(b"<work>", b"<hang>"))
    assert classifier._child._process
    deadline = time.monotonic() + 5
    while classifier._child._process._inbox.empty() and time.monotonic() < deadline:
        time.sleep(0.01)
    clock.now += 29
    assert classifier.poll(0.0) == []
    clock.now += 29
    assert classifier.poll(0.05) == []
    clock.now += 2
    with pytest.raises(ChildLost) as lost:
        classifier.poll(1.0)
    assert (lost.value.ids, lost.value.reason) == ((1, 2), "timeout")


def test_an_answer_that_waits_to_be_collected_is_not_late(
    classifier: ProcessClassifier, files: Files, clock: Clock
) -> None:
    classifier.submit(files(b"<cat>"))
    assert classifier._child._process
    deadline = time.monotonic() + 5
    while classifier._child._process._inbox.empty() and time.monotonic() < deadline:
        time.sleep(0.01)
    clock.now += 100
    assert [f.id for f in classifier.poll(0.0)] == [1]


def test_loading_takes_nothing_from_the_deadline_and_submitting_starts_it(files: Files, clock: Clock) -> None:
    classifier = make(clock=clock)
    try:
        classifier.start()
        clock.now += 60
        until_ready(classifier)
        clock.now += 60
        classifier.submit(files(b"<cat>"))
        assert collect(classifier)
    finally:
        classifier.stop()


def test_a_stuck_child_does_not_block_whoever_submits(classifier: ProcessClassifier, files: Files) -> None:
    [(_, hang)] = files(b"<hang>")
    began = time.monotonic()
    for first in (0, 1024):
        classifier.submit([(first, hang), *((first + i, b"/%d" % i + b"x" * 1000) for i in range(1, 1024))])
    assert time.monotonic() - began < 1.0


@pytest.mark.timeout(20)
def test_a_signal_does_not_prolong_a_wait(classifier: ProcessClassifier) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.3))
    interrupt = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    interrupt.start()
    try:
        assert classifier.poll(0.1) == []
    finally:
        interrupt.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_heatmap_and_a_batch_are_requests_of_one_child(files: Files) -> None:
    """The real child process, without TensorFlow: it answers a missing file before it builds the network."""
    classifier = ProcessClassifier(Path(), "auto", LimitSettings(), child=stumbling_child)
    [(id, path)] = files(b"\xff")
    try:
        until_ready(classifier)
        heatmap = classifier.explain(Explain(path + b".gone", "cat", 100))
        assert heatmap.jpeg is None and "No such file" in heatmap.problem
        classifier.submit([(id, path)])
        assert (collect(classifier)[0].scores or {})["cat"] == 1.0
    finally:
        classifier.stop()


def test_a_child_that_is_lost_while_it_draws_a_heatmap_is_a_problem_of_this_heatmap(
    classifier: ProcessClassifier,
) -> None:
    """`stub_child` cannot iterate an Explain, and ends."""
    assert classifier.explain(Explain(b"/x", "cat", 100)).problem == "the decoder crashed"
    until_ready(classifier)
    assert classifier.starts == 2
