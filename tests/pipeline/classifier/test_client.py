"""A child may crash, hang or lie: the parent lives, knows which files were in its hands, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipeline.classifier.client import ChildLost, ProcessClassifier, classify_files
from pipeline.classifier.messages import ClassificationResult, Explain
from pipeline.config import LimitSettings
from pipeline.errors import ModelError
from tests.support.child_mains import stub_child
from tests.support.stub_classifier import (
    LABELS,
    StubClassifier,
    redness_child,
    stumbling_child,
)

ROOT = Path(__file__).parents[3]
Files = Callable[..., list[tuple[int, bytes]]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Write a file for each content; return (id, path) with ids from `first`."""

    def write(*contents: bytes, first: int = 1) -> list[tuple[int, bytes]]:
        items = [(id, os.fsencode(tmp_path / f"{id}.jpg")) for id, _ in enumerate(contents, first)]
        for (_, path), content in zip(items, contents, strict=True):
            Path(os.fsdecode(path)).write_bytes(content)
        return items

    return write


def make(name: str = "good", clock: Callable[[], float] = time.monotonic) -> ProcessClassifier:
    return ProcessClassifier(
        Path(name), "auto", LimitSettings(decode_seconds=30), child=stub_child, clock=clock
    )


@pytest.fixture
def classifier(clock: Clock) -> Iterator[ProcessClassifier]:
    classifier = make(clock=clock)
    until_ready(classifier)
    yield classifier
    classifier.stop()


def until_ready(classifier: ProcessClassifier) -> None:
    while not classifier.ready(1.0):
        pass


def collect(classifier: ProcessClassifier) -> list[ClassificationResult]:
    while not (findings := classifier.poll(1.0)):
        pass
    return findings


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
def test_a_signal_while_it_waits_does_not_make_it_wait_for_ever(classifier: ProcessClassifier) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.3))
    interrupt = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    interrupt.start()
    try:
        assert classifier.poll(0.1) == []
    finally:
        interrupt.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_refused_model_is_an_error_with_its_message() -> None:
    with pytest.raises(ModelError, match=r"weights\.npz: is truncated"):
        until_ready(make("refused"))


@pytest.mark.fault(101)
def test_a_model_that_was_replaced_is_not_used_under_the_name_of_the_old(
    files: Files, tmp_path: Path, clock: Clock
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "sha256").write_text("old")
    classifier = make(str(bundle), clock)
    until_ready(classifier)
    (bundle / "sha256").write_text("new")
    classifier.submit(files(b"<cat>"))
    assert collect(classifier)[0].scores, "what runs goes on with the old one"
    classifier.submit(files(b"<crash>"))
    with pytest.raises(ChildLost):
        collect(classifier)
    with pytest.raises(ModelError, match="was replaced while in use"):
        until_ready(classifier)
    classifier.stop()


def test_a_child_that_cannot_load_is_tried_three_times_and_quoted(capfd: pytest.CaptureFixture[str]) -> None:
    classifier = make("broken")
    with pytest.raises(ModelError, match=r"3 times .* no room for weights"):
        until_ready(classifier)
    assert (classifier.starts, classifier.pid) == (3, None)
    assert capfd.readouterr() == ("", "")


def test_a_child_that_never_finishes_loading_is_given_up(clock: Clock) -> None:
    classifier = make("slow", clock)
    with pytest.raises(ModelError, match="3 times"):
        for _ in range(3):
            classifier.ready()
            clock.now += 301
            classifier.ready()


def test_a_loading_child_is_stopped_at_once() -> None:
    classifier = make("slow")
    classifier.start()
    began = time.monotonic()
    classifier.stop()
    classifier.stop()
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_group_do_not_end_the_child(
    classifier: ProcessClassifier, files: Files, number: signal.Signals
) -> None:
    assert classifier.pid
    os.kill(classifier.pid, number)
    classifier.submit(files(b"<cat>"))
    assert collect(classifier)


@pytest.mark.fault(53)
def test_the_child_offers_itself_when_memory_runs_out(classifier: ProcessClassifier) -> None:
    assert Path(f"/proc/{classifier.pid}/oom_score_adj").read_text() == "1000\n"


ORPHAN = """
import sys, time
from pathlib import Path
from pipeline.classifier.client import ProcessClassifier
from pipeline.config import LimitSettings
from tests.support.child_mains import stub_child
if __name__ == "__main__":
    classifier = ProcessClassifier(Path("good"), "auto", LimitSettings(), child=stub_child)
    while not classifier.ready(1.0):
        pass
    classifier.submit([(1, sys.argv[1].encode())])
    while classifier._child._process.receive(1.0) is None:
        pass  # until it sends Working, which is when it hangs: one that reads its pipe would notice its end
    print(classifier.pid, flush=True)
    {end}
"""


@pytest.mark.parametrize("end", ["time.sleep(60)", "sys.exit(0)"])
def test_the_child_dies_with_its_parent_even_while_it_hangs(files: Files, tmp_path: Path, end: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(ORPHAN.format(end=end))
    [(_, hang)] = files(b"<work><hang>")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), os.fsdecode(hang)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        if "sleep" in end:
            parent.kill()
        parent.wait(5)
    assert gone(child)


def gone(pid: int) -> bool:
    """Wait up to 3 s for the process to be no more than a zombie."""
    for _ in range(60):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    return False


def test_a_file_that_the_network_cannot_bear_fails_alone(files: Files) -> None:
    """Nor does it end the worker, which would meet it again at each start."""
    classifier = ProcessClassifier(Path(), "auto", LimitSettings(), child=stumbling_child)
    try:
        paths = [path for _, path in files(b"\xff", b"\0", b"\x80")]
        first, black, last = classify_files(classifier, paths, 3)
    finally:
        classifier.stop()
    assert (first.scores or {})["cat"] == 1.0
    assert (last.scores or {})["dog"] == pytest.approx(0.5, abs=0.01)
    assert (black.scores, black.reason) == (None, "decoder_crashed")
    assert "NaN or infinity" in (black.detail or "")


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


@pytest.mark.fault(50, 51)
def test_classifying_files_keeps_their_order_and_finds_the_culprits(files: Files) -> None:
    contents = [b"<cat>", b"<dog>", b"<crash>", b"<dog>", b"<hang>", b"<truncated>", b"<cat>"]
    paths = [path for _, path in files(*contents)]
    classifier = StubClassifier(polls_until_ready=2)
    findings = list(classify_files(classifier, paths, batch_size=2, attempts=2))
    assert [f.id for f in findings] == list(range(7))
    assert [f.reason for f in findings] == [None, None, "decoder_crashed", None, "timeout", "truncated", None]
    assert [max(f.scores, key=f.scores.__getitem__) for f in findings if f.scores] == [
        "cat",
        "dog",
        "dog",
        "cat",
    ]


def test_classifying_no_files_starts_nothing() -> None:
    classifier = StubClassifier()
    assert list(classify_files(classifier, [], batch_size=2)) == []
    assert classifier.starts == 0


@pytest.mark.fault(44)
def test_sixty_three_neighbours_of_a_bad_file_are_answered_as_if_alone(tmp_path: Path) -> None:
    """The real child with tf.data, and an engine whose answer shows which pixels it saw. Takes about 10 s."""
    paths = [os.fsencode(tmp_path / f"{red}.png") for red in range(0, 256, 4)]
    for red, path in zip(range(0, 256, 4), paths, strict=True):
        Image.new("RGB", (300, 260), (red, 90, 30)).save(os.fsdecode(path))
    Path(os.fsdecode(paths[20])).write_bytes(b"no picture")
    classifier = ProcessClassifier(Path("any"), "auto", LimitSettings(), child=redness_child)
    try:
        together = list(classify_files(classifier, paths, batch_size=64))
        alone = list(classify_files(classifier, paths[18:23], batch_size=1))
    finally:
        classifier.stop()
    assert [f.reason for f in together] == [None] * 20 + ["not_an_image"] + [None] * 43
    assert [f.scores for f in together[18:23]] == [f.scores for f in alone]
    for index, finding in enumerate(together):
        if finding.scores:
            assert finding.scores["cat"] == pytest.approx(4 * index / 255, abs=1e-3)
            assert finding.admitted
            assert (finding.admitted.format, finding.admitted.width) == ("PNG", 300)
