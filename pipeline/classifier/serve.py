"""Run in the classifier process: load the model, classify batches, draw heatmaps.

TensorFlow is imported by `serve`, never when this module is imported: the parent imports it for `serve`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models.errors import in_words
from pipeline.classifier.heatmap import HeatmapDrawer
from pipeline.classifier.messages import (
    ClassificationResult,
    Explain,
    Finished,
    Item,
    Ready,
    Unusable,
    Working,
)
from pipeline.settings.sections import LimitSettings

if TYPE_CHECKING:
    from models.inference.box_crops import CropInference
    from models.inference.engines import Engine
    from pipeline.classifier.image_loader import Batch

PROGRESS_SECONDS = 1.0

CHUNK = 64
"""Photos in one call of the network; progress is sent after each call."""

SUM_TOLERANCE = 0.01
"""How far from 1 the sum of probabilities of an image may be; 16-bit arithmetic errs by less."""


class Answers:
    """The child's end of the pipe to the parent, safe to use from several threads."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()
        self._progress_sent_at = clock()

    def send(self, message: object) -> None:
        """Send a whole message."""
        with self._lock:
            self._connection.send(message)

    def send_progress(self) -> None:
        """Send Working, unless a Working was sent less than PROGRESS_SECONDS ago."""
        now = self._clock()
        if now - self._progress_sent_at >= PROGRESS_SECONDS:
            self._progress_sent_at = now
            self.send(Working())


def serve(
    requests: Connection,
    answers: Connection,
    bundle_path: Path,
    engine_kind: Any,
    limits: LimitSettings,
    threads: int,
    niceness: int = 0,
) -> None:
    """Run in the child: load the model, then answer requests until the pipe ends.

    A tuple of Items is answered with Finished, an Explain with a Heatmap. `niceness` lowers the priority of
    the process. Raises BrokenEngine, with which the child ends.
    """
    from models.bundle.bundle import load
    from models.errors import BundleError
    from models.inference.box_crops import of_bundle
    from models.inference.detector import open_detector
    from models.inference.engines import answering, open_engine
    from pipeline.classifier.image_loader import Batches

    os.nice(niceness)
    try:
        bundle = answering(load(bundle_path), engine_kind)
        engine = open_engine(bundle, engine_kind, threads)
        crops = of_bundle(bundle, open_detector(bundle, threads))
    except BundleError as error:
        answers.send(Unusable(str(error)))
        return
    out = Answers(answers)
    batches = Batches(bundle.input_size, limits, threads, out.send_progress)
    explain = partial(_explain, HeatmapDrawer(bundle_path, limits), out)
    threading.Thread(target=_receive, args=(requests, batches.put, explain), daemon=True).start()
    out.send(Ready(bundle.labels, engine.name, bundle.sha256))
    pool = ThreadPoolExecutor(threads, "pawsort-crops")
    for batch in batches:
        # BrokenEngine ends this child like a crash. The next child tests the engine before it gets the
        # files one by one. So a broken engine is refused; otherwise the file that it fails on is found.
        answer = crop_answer(crops, batch, limits, out.send_progress, pool)
        out.send(Finished(classify_batch(engine, bundle.labels, batch, answer)))


def _receive(
    requests: Connection, put: Callable[[Sequence[Item]], None], explain: Callable[[Explain], None]
) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = requests.recv()
            if isinstance(message, Explain):
                explain(message)
            else:
                put(message)
    os._exit(0)  # the parent has ended or closed the pipe


def _explain(drawer: HeatmapDrawer, out: Answers, request: Explain) -> None:
    out.send(drawer.draw(request))


class BrokenEngine(Exception):  # noqa: N818 - says what has happened
    """The engine returned no probabilities, twice: it is broken, or fails on one of these files."""


Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
Answered = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]
"""Probabilities (n, k), and which of the n images show two labels."""
Answer = Callable[[Predict, npt.NDArray[np.uint8], Sequence[int]], Answered]
"""Maps Predict, images (n, side, side, 3) and their rows in the batch to Answered."""


def crop_answer(
    crops: CropInference, batch: Batch, limits: LimitSettings, on_progress: Callable[[], None], pool: Executor
) -> Answer:
    """Return how a bundle classifies: images that need crops are read again, larger, by `pool`."""
    from pipeline.classifier.image_loader import load

    def answer(predict: Predict, images: npt.NDArray[np.uint8], rows: Sequence[int]) -> Answered:
        def reload(index: int, side: int) -> npt.NDArray[np.uint8] | None:
            pixels = load((0, batch.paths[rows[index]]), side, limits)[1]
            on_progress()
            return pixels

        seen = crops.refine(predict, _single_pass(predict, images, on_progress), reload, pool)
        return seen.probabilities, seen.both

    return answer


def _single_pass(
    predict: Predict, images: npt.NDArray[np.uint8], on_progress: Callable[[], None] = lambda: None
) -> npt.NDArray[np.float32]:
    chunks = []
    for start in range(0, len(images), CHUNK):
        chunks.append(predict(images[start : start + CHUNK]))
        on_progress()
    return np.concatenate(chunks)


def _plain_answer(predict: Predict, images: npt.NDArray[np.uint8], rows: Sequence[int]) -> Answered:
    return _single_pass(predict, images), np.zeros(len(rows), np.bool_)


def classify_batch(
    engine: Engine, labels: Sequence[str], batch: Batch, answer: Answer = _plain_answer
) -> list[ClassificationResult]:
    """Classify the readable images of a batch; return a result for each file. Raises BrokenEngine."""
    readable = [i for i, result in enumerate(batch.results) if result.reason is None]
    if not readable:
        return list(batch.results)
    images = batch.images if len(readable) == len(batch.results) else batch.images[readable]

    def predict(photos: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return _predict(engine, photos, len(labels))

    probabilities, both = answer(predict, images, readable)
    results = list(batch.results)
    for i, row, shows_both in zip(readable, probabilities, both.tolist(), strict=True):
        scores = dict(zip(labels, map(float, row), strict=True))
        results[i] = results[i]._replace(scores=scores, both=shows_both)
    return results


def _predict(engine: Engine, images: npt.NDArray[np.uint8], labels: int) -> npt.NDArray[np.float32]:
    problems = []
    for _ in range(2):  # memory that flips a bit rarely flips it twice
        try:
            scores = engine.predict(images)
        except Exception as error:  # each engine raises its own types
            problems.append(in_words(error))
            continue
        problem = check_scores(scores, len(images), labels)
        if problem is None:
            return scores
        problems.append(problem)
    raise BrokenEngine(f"the {engine.name} engine failed twice on the same images: {problems[-1]}")


def check_scores(scores: npt.NDArray[np.float32], images: int, labels: int) -> str | None:
    """Return why `scores` are not probabilities of shape (images, labels), or None if they are."""
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
