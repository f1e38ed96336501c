"""The classifier of the pages: the worker's own, which can also show where the network looked.

`serve_trials` runs in the child. Batches go the worker's way; what is asked besides is answered by
`models.inference.gradcam`, whose network is built at the first such question.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.child_process import Main, ProcessExited
from pipeline.classifier import serve
from pipeline.classifier.client import ProcessClassifier
from pipeline.classifier.messages import ClassificationResult, Item
from pipeline.config import LimitSettings
from pipeline.errors import ModelError
from pipeline.files.safe_open import opened

if TYPE_CHECKING:
    from models.inference.gradcam import Explainer

HEAT_SECONDS = 120.0
"""How long a heat map may take, the building of its network included."""

_TICK = 0.25


class ClosingError(Exception):
    """The classifier is wanted no more; what it had not answered is dropped."""


@dataclass(frozen=True, slots=True)
class Question:
    """Where does the network look in the photo at `path` (absolute) when it answers `label`?"""

    path: bytes
    label: str
    longest: int


@dataclass(frozen=True, slots=True)
class Heat:
    """A JPEG of the photo with the places that count aglow, or why there is none."""

    jpeg: bytes | None
    problem: str = ""


class HeatmapClassifier(ProcessClassifier):
    """A ProcessClassifier that stops waiting once `closing` is set, and answers Questions."""

    def __init__(
        self, bundle: Path, engine: str, limits: LimitSettings, closing: threading.Event, child: Main
    ) -> None:
        super().__init__(bundle, engine, limits, child=child)
        self._closing = closing

    def ready(self, timeout: float = 0.0) -> bool:
        """Wait as ProcessClassifier does. Raises ClosingError, ModelError."""
        self._go_on()
        return super().ready(min(timeout, _TICK))

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Wait as ProcessClassifier does. Raises ClosingError, ChildLost, ModelError."""
        self._go_on()
        return super().poll(min(timeout, _TICK))

    def ask(self, question: Question) -> Heat:
        """Return the heat map; allowed once `ready`, with nothing in flight. Raises ClosingError."""
        assert self._child and not self._flying
        self._child.send(question)
        until = self._clock() + HEAT_SECONDS
        try:
            while self._clock() < until:
                self._go_on()
                if isinstance(answer := self._child.receive(_TICK), Heat):
                    return answer
        except ProcessExited:
            self._kill()
            return Heat(None, "the decoder crashed")
        self._kill()
        return Heat(None, "it took too long")

    def _go_on(self) -> None:
        if self._closing.is_set():
            raise ClosingError


def serve_trials(
    requests: Connection,
    answers: Connection,
    bundle_path: Path,
    engine_kind: Any,
    limits: LimitSettings,
    threads: int,
) -> None:
    """Run in the child: as `inference.serve`, and answer each Question with a Heat."""
    os.nice(5)  # somebody waits for this, but the worker comes first
    outlet = cast(Connection, _Outlet(answers))
    tap = _Tap(requests, outlet, _Explaining(bundle_path, limits))
    serve.serve(cast(Connection, tap), outlet, bundle_path, engine_kind, limits, threads)


class _Outlet:
    """The way to the parent, for two senders."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: object) -> None:
        with self._lock:
            self._connection.send(message)


class _Tap:
    """Gives batches to whom they are for, and answers what else comes."""

    def __init__(self, connection: Connection, answers: Connection, explaining: _Explaining) -> None:
        self._connection = connection
        self._answers = answers
        self._explaining = explaining

    def recv(self) -> Sequence[Item]:
        while isinstance(message := self._connection.recv(), Question):
            self._answers.send(self._explaining.heat(message))
        return cast(Sequence[Item], message)


class _Explaining:
    def __init__(self, bundle_path: Path, limits: LimitSettings) -> None:
        self._bundle_path = bundle_path
        self._limits = limits
        self._explainer: Explainer | None = None

    def heat(self, question: Question) -> Heat:
        from models.errors import BundleError
        from models.images.decode import UnreadableImage

        try:
            return Heat(self._draw(question))
        except UnreadableImage as error:
            return Heat(None, error.reason)
        except (BundleError, ModelError, OSError, MemoryError, ValueError) as error:
            return Heat(None, " ".join(str(error).split()) or type(error).__name__)

    def _draw(self, question: Question) -> bytes:
        from models.bundle import bundle
        from models.images.decode import decode, fit
        from models.inference import gradcam
        from pipeline.web.services.draw_thumbnail import encode

        if self._explainer is None:
            self._explainer = gradcam.open_explainer(bundle.load(self._bundle_path))
        data = _read(question.path, self._limits)
        label = self._explainer.labels.index(question.label)
        seen = decode(data, self._explainer.input_size, self._limits.pixels)
        [heat] = self._explainer.maps(seen[None], [label])
        return encode(gradcam.overlay(fit(data, question.longest, self._limits.pixels), heat))


def _read(path: bytes, limits: LimitSettings) -> bytes:
    folder, name = os.path.split(path)
    with opened(folder, name) as file, open(file.fd, "rb", closefd=False) as stream:
        return stream.read(limits.file_bytes)
