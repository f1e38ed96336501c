"""Classify files in order, and find those that end the child."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.classifier.client import ProcessClassifier, classify_files
from pipeline.settings.sections import LimitSettings
from tests.pipeline.classifier.conftest import Files
from tests.support.stub_classifier import (
    StubClassifier,
    redness_child,
    stumbling_child,
)


def test_a_file_that_makes_the_network_fail_fails_alone(files: Files) -> None:
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
