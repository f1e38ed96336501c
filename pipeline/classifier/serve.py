"""What the child process does: open the model, then classify batch after batch.

TensorFlow is imported when `serve` runs, never when this module is imported: the parent needs its names.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.config import LimitSettings

if TYPE_CHECKING:
    from models.bundle.bundle import Bundle
    from models.inference.engines import Engine
    from pipeline.classifier.file_checks import Admitted
    from pipeline.classifier.image_loader import Batch

Item = tuple[int, bytes]
"""The id of a file and its absolute path."""

PULSE_SECONDS = 1.0

PIECE = 64
"""Photos in one call of the network. After each, a core has nothing to do, and others hear of progress."""

SUM_TOLERANCE = 0.01
"""How far from 1 the probabilities of an image may sum; 16-bit arithmetic errs by less."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one file in the child.

    `scores` (label -> probability, 0 to 1) and `reason` (a failure, with `detail` for people) exclude each
    other. `admitted` is None when the file was refused before its header was understood.
    """

    id: int
    admitted: Admitted | None
    scores: dict[str, float] | None
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """From the child: the model is loaded and has passed its self-test."""

    labels: tuple[str, ...]
    engine_name: str
    sha256: str | None = None  # of the bundle's weights


@dataclass(frozen=True, slots=True)
class Unusable:
    """From the child, its last message: the model cannot be used."""

    message: str


@dataclass(frozen=True, slots=True)
class Working:
    """From the child: another file was read, or seen by the network; sent once a second at most."""


@dataclass(frozen=True, slots=True)
class Finished:
    """From the child: one batch, whole."""

    findings: list[Finding]


def usable_cpus() -> int:
    """Count the CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Answers:
    """The child's end of the pipe to the parent, for several threads."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._told = clock()

    def send(self, message: object) -> None:
        """Send a message whole."""
        with self._lock:
            self._connection.send(message)

    def pulse(self) -> None:
        """Say that there is progress, unless that was said a moment ago."""
        now = self._clock()
        if now - self._told >= PULSE_SECONDS:
            self._told = now
            self.send(Working())


def serve(
    requests: Connection,
    answers: Connection,
    bundle_path: Path,
    engine_kind: Any,
    limits: LimitSettings,
    threads: int,
    threshold: float | None = None,
) -> None:
    """Run in the child: open the model, then answer each batch of items with findings until the pipe ends.

    Where the `threshold` is known from which photos are filed, first answers may be sketches. Raises
    BrokenEngine, with which the child ends.
    """
    from models.bundle.bundle import load
    from models.errors import BundleError
    from models.inference.engines import open_engine
    from pipeline.classifier.image_loader import Batches

    try:
        bundle = load(bundle_path)
        engine = open_engine(bundle, engine_kind, threads)
        first = first_look(bundle, engine, engine_kind, threads, threshold)
    except BundleError as error:
        answers.send(Unusable(str(error)))
        return
    out = Answers(answers)
    batches = Batches(bundle.input_size, limits, threads, out.pulse)
    threading.Thread(target=_feed, args=(requests, batches.put), daemon=True).start()
    out.send(Ready(bundle.labels, engine.name, bundle.sha256))
    looks = ThreadPoolExecutor(threads, "pawsort-look")
    for batch in batches:
        # BrokenEngine ends this child like a crash. The next one tests the engine before it gets the
        # files one by one. So a broken engine is refused; else it is known which file it stumbles over.
        answer = closer(bundle, batch, limits, out.pulse, looks, first)
        out.send(Finished(find(engine, bundle.labels, batch, answer)))


def _feed(requests: Connection, put: Callable[[Sequence[Item]], None]) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            put(requests.recv())
    os._exit(0)  # the parent is gone, or wants us gone


class BrokenEngine(Exception):  # noqa: N818 - says what has happened
    """The engine's answers are no probabilities, twice: it is broken, or cannot bear one of these files."""


Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
First = Callable[[Predict, npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""A first look, which need not predict all there is."""
Answer = Callable[[Predict, npt.NDArray[np.uint8], Sequence[int]], npt.NDArray[np.float32]]
"""From how to predict, images, and the rows of the batch that they are in, to probabilities."""


def first_look(
    bundle: Bundle, engine: Engine, kind: Any, threads: int, threshold: float | None
) -> First | None:
    """Return a first look by sketches, None where there are none to be had.

    Only `auto` may choose them; who names an engine gets its own answers.
    """
    from models.inference.bfloat16 import TwoPrecisionPredictor, decision_thresholds
    from models.inference.engines import open_bfloat16

    quick = open_bfloat16(bundle, engine, threads) if kind == "auto" and threshold is not None else None
    if quick is None or threshold is None:
        return None
    first_pass = partial(_predict, quick, labels=len(bundle.labels))
    return TwoPrecisionPredictor(first_pass, decision_thresholds(bundle, threshold)).predict


def closer(
    bundle: Bundle,
    batch: Batch,
    limits: LimitSettings,
    on_progress: Callable[[], None],
    pool: Executor,
    first: First | None = None,
) -> Answer:
    """Return how the bundle answers: what it is unsure of, `pool` reads once more and larger.

    `first` takes the first look, if there is one.
    """
    look = bundle.multi_crop
    if look is None:
        return partial(_at_first_sight, first=first, on_seen=on_progress)
    from models.inference import multi_crop
    from pipeline.classifier.image_loader import load

    def answer(
        predict: Predict, images: npt.NDArray[np.uint8], rows: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        def reload(index: int, side: int) -> npt.NDArray[np.uint8] | None:
            photo = load(batch.paths[rows[index]], side, limits)[1]
            on_progress()
            return photo

        seen = _at_first_sight(predict, images, rows, first, on_progress)
        return multi_crop.refine(predict, seen, look, images.shape[1], reload, pool, bundle.neither)

    return answer


def _at_first_sight(
    predict: Predict,
    images: npt.NDArray[np.uint8],
    rows: Sequence[int],
    first: First | None = None,
    on_seen: Callable[[], None] = lambda: None,
) -> npt.NDArray[np.float32]:
    del rows
    pieces = []
    for start in range(0, len(images), PIECE):
        piece = images[start : start + PIECE]
        pieces.append(first(predict, piece) if first else predict(piece))
        on_seen()
    return np.concatenate(pieces)


def find(
    engine: Engine, labels: Sequence[str], batch: Batch, answer: Answer = _at_first_sight
) -> list[Finding]:
    """Classify the readable images of a batch and bind each answer to its id. Raises BrokenEngine."""
    readable = [i for i, outcome in enumerate(batch.outcomes) if outcome.reason is None]
    images = batch.images if len(readable) == len(batch.ids) else batch.images[readable]

    def predict(photos: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return _predict(engine, photos, len(labels))

    rows = dict(zip(readable, answer(predict, images, readable), strict=True)) if readable else {}
    return [
        Finding(
            id,
            outcome.admitted,
            dict(zip(labels, map(float, rows[i]), strict=True)) if i in rows else None,
            outcome.reason,
            outcome.detail,
        )
        for i, (id, outcome) in enumerate(zip(batch.ids, batch.outcomes, strict=True))
    ]


def _predict(engine: Engine, images: npt.NDArray[np.uint8], labels: int) -> npt.NDArray[np.float32]:
    problems = []
    for _ in range(2):  # memory that flips a bit rarely flips it twice
        try:
            scores = engine.predict(images)
        except Exception as error:  # each engine raises its own types; none of them is a file's fault
            problems.append(f"{type(error).__name__}: {error}")
            continue
        problem = check_scores(scores, len(images), labels)
        if problem is None:
            return scores
        problems.append(problem)
    raise BrokenEngine(f"the {engine.name} engine failed twice on the same images: {problems[-1]}")


def check_scores(scores: npt.NDArray[np.float32], images: int, labels: int) -> str | None:
    """Return what keeps `scores` from being probabilities of shape (images, labels), or None."""
    if scores.shape != (images, labels):
        return f"expected scores of shape {(images, labels)}, received {scores.shape}"
    if not np.isfinite(scores).all():
        return "expected finite scores, received NaN or infinity"
    if (
        scores.min() < 0
        or scores.max() > 1 + SUM_TOLERANCE
        or np.abs(scores.sum(axis=1) - 1).max() > SUM_TOLERANCE
    ):
        return f"expected probabilities, received scores from {scores.min():g} to {scores.max():g}"
    return None
