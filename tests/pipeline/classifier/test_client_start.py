"""A child starts and ends: loading, refused and replaced models, signals, its parent gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.classifier.client import ChildLost, ProcessClassifier
from pipeline.errors import ModelError
from tests.pipeline.classifier.conftest import ROOT, Clock, Files, collect, gone, make, until_ready


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
from pipeline.settings.sections import LimitSettings
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
