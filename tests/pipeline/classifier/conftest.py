"""Files of given contents, and a classifier with a stub as its child and a clock of the test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.classifier.client import ProcessClassifier
from pipeline.classifier.messages import ClassificationResult
from pipeline.settings.sections import LimitSettings
from tests.support.child_mains import stub_child

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
