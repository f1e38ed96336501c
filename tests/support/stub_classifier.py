"""Classifiers without TensorFlow in this process, and children whose engine alone is a stub."""

from __future__ import annotations

import os
import queue
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle
from pipeline.classifier import serve
from pipeline.classifier.client import ChildLost, LossReason
from pipeline.classifier.file_checks import Admitted
from pipeline.classifier.messages import ClassificationResult, Item
from pipeline.errors import ModelError
from tests.support.stub_answers import ADMITTED, LABELS, answer_of_version

BUNDLE = Bundle(
    path=Path("/nowhere"),
    manifest=None,  # type: ignore[arg-type]
    name="stub",
    labels=LABELS,
    folders={"cat": "cats", "dog": "dogs"},
    input_size=8,
    sha256="0" * 64,
    architecture="stub",
)
"""What a model says of itself, as far as the worker asks."""

LOSSES: dict[bytes, tuple[LossReason, str]] = {
    b"<crash>": ("decoder_crashed", "killed by SIGSEGV"),
    b"<nan>": ("decoder_crashed", "exit code 1: expected finite scores, received NaN"),
    b"<hang>": ("timeout", "no answer within 30 s"),
}
BROKEN = b"<broken>"


class StubClassifier:
    """Answer at once, in this process; a `<crash>` or `<hang>` loses everything in flight, as a child would.

    `polls_until_ready` calls of `ready` say no after each start; `refusal` makes `ready` raise ModelError.
    `alone` lists the ids of the files that were submitted alone, in order. `version` shows in its scores.
    """

    def __init__(self, polls_until_ready: int = 0, refusal: str | None = None, version: int = 0) -> None:
        self.version = version
        self.labels: tuple[str, ...] = ()
        self.engine_name = ""
        self.starts = 0
        self.alone: list[int] = []
        self._polls_until_ready = polls_until_ready
        self._refusal = refusal
        self._running = False
        self._polls_left = 0
        self._flying: deque[list[Item]] = deque()

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    def start(self) -> None:
        if not self._running:
            self._running, self._polls_left = True, self._polls_until_ready
            self.starts += 1

    def ready(self, timeout: float = 0.0) -> bool:
        self.start()
        if self._refusal:
            raise ModelError(self._refusal)
        if self._polls_left:
            self._polls_left -= 1
            return False
        self.labels, self.engine_name = LABELS, "stub"
        return True

    def submit(self, items: Sequence[Item]) -> None:
        assert self._running and not self._polls_left, "submit before ready"
        assert len(self._flying) < 2, "too many batches in flight"
        if len(items) == 1:
            self.alone.append(items[0][0])
        self._flying.append(list(items))

    def poll(self, timeout: float) -> list[ClassificationResult]:
        if not self._flying:
            return []
        for _, path in self._flying[0]:
            self._lose_if_poison(path)
        admitted = Admitted(*ADMITTED)
        return [answer_of_version(self.version, *item, admitted) for item in self._flying.popleft()]

    def stop(self) -> None:
        self._running = False
        self._flying.clear()

    def _lose_if_poison(self, path: bytes) -> None:
        data = Path(os.fsdecode(path)).read_bytes() if os.path.isfile(path) else b""
        if BROKEN in data:
            self.stop()
            raise ModelError("the stub engine is broken")
        for marker, (reason, detail) in LOSSES.items():
            if marker in data:
                ids = tuple(id for batch in self._flying for id, _ in batch)
                self.stop()
                raise ChildLost(ids, reason, detail)


class RednessEngine:
    """An engine that says `cat` as surely as a picture is red: every answer shows which pixels it is of."""

    name = "redness"

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        red = images[..., 0].mean(axis=(1, 2)) / 255
        return np.stack([red, 1 - red, np.zeros_like(red)], axis=1).astype(np.float32)


def _bundle(size: int) -> SimpleNamespace:
    """Return what `serve` reads of a bundle without crops."""
    return SimpleNamespace(
        input_size=size, labels=LABELS, multi_crop=None, neither=2, with_folder=(0, 1), sha256="0" * 64,
        precision="float32", detector=None, manifest=SimpleNamespace(detector=None),
    )  # fmt: skip


def redness_child(requests: Connection, answers: Connection, *arguments: Any) -> None:
    """Be the real child, tf.data and all, except for its model."""
    from models.bundle import bundle
    from models.inference import engines

    with (
        mock.patch.object(
            bundle,
            "load",
            lambda path: _bundle(224),
        ),
        mock.patch.object(engines, "open_engine", lambda *_: RednessEngine()),
        mock.patch.object(engines, "answering", lambda bundle, _: bundle),
    ):
        serve.serve(requests, answers, *arguments)


class StumblingEngine(RednessEngine):
    """An engine that gives NaN for a batch with a black picture in it."""

    def predict(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return super().predict(images) + np.float32(np.inf if not images.any(axis=(1, 2, 3)).all() else 0)


class PlainBatches:
    """What `image_loader.Batches` is to `serve`, without TensorFlow: a file is one grey pixel."""

    def __init__(self, *_: object) -> None:
        self._cuts: queue.SimpleQueue[Sequence[Item]] = queue.SimpleQueue()
        self.put = self._cuts.put

    def __iter__(self) -> Iterator[Any]:
        while True:
            items = self._cuts.get()
            contents = [Path(os.fsdecode(path)).read_bytes() for _, path in items]
            images = np.array([list(data[:1] * 3) for data in contents], np.uint8).reshape(-1, 1, 1, 3)
            yield SimpleNamespace(
                images=images, results=tuple(ClassificationResult(id, None) for id, _ in items)
            )


def stumbling_child(requests: Connection, answers: Connection, *arguments: Any) -> None:
    """Be the real child, except for its model and for what would take TensorFlow."""
    from models.bundle import bundle

    with (
        mock.patch.dict(
            sys.modules,
            {
                "models.inference.engines": SimpleNamespace(
                    open_engine=lambda *_: StumblingEngine(), answering=lambda bundle, _: bundle
                ),  # type: ignore[dict-item]
                "pipeline.classifier.image_loader": SimpleNamespace(Batches=PlainBatches, load=None),  # type: ignore[dict-item]
            },
        ),
        mock.patch.object(
            bundle,
            "load",
            lambda path: _bundle(1),
        ),
    ):
        serve.serve(requests, answers, *arguments)


class BrokenClassifier(StubClassifier):
    """Loses everything in flight as long as it `is_broken`, as where memory is too short for any photo."""

    is_broken = True

    def poll(self, timeout: float) -> list[ClassificationResult]:
        if not self.is_broken or not self._flying:
            return super().poll(timeout)
        lost = tuple(id for batch in self._flying for id, _ in batch)
        self.stop()
        raise ChildLost(lost, "decoder_crashed", "killed by SIGKILL")
