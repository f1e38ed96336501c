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
from dataclasses import replace
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
from pipeline.config import LimitSettings

if TYPE_CHECKING:
    from models.bundle.bundle import Bundle
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
    threshold: float | None = None,
    niceness: int = 0,
) -> None:
    """Run in the child: load the model, then answer requests until the pipe ends.

    A tuple of Items is answered with Finished, an Explain with a Heatmap. With the `threshold` from which
    photos are filed, the first pass may run in bfloat16. `niceness` lowers the priority of the process.
    Raises BrokenEngine, with which the child ends.
    """
    from models.bundle.bundle import load
    from models.errors import BundleError
    from models.inference.engines import open_engine
    from pipeline.classifier.image_loader import Batches

    os.nice(niceness)
    try:
        bundle = load(bundle_path)
        engine = open_engine(bundle, engine_kind, threads)
        first = open_first_pass(bundle, engine, engine_kind, threads, threshold)
    except BundleError as error:
        answers.send(Unusable(str(error)))
        return
    out = Answers(answers)
    batches = Batches(bundle.input_size, limits, threads, out.send_progress)
    explain = partial(_explain, HeatmapDrawer(bundle_path, limits), out)
    threading.Thread(target=_receive, args=(requests, batches.put, explain), daemon=True).start()
    out.send(Ready(bundle.labels, engine.name, bundle.sha256))
    crops = ThreadPoolExecutor(threads, "pawsort-crops")
    for batch in batches:
        # BrokenEngine ends this child like a crash. The next child tests the engine before it gets the
        # files one by one. So a broken engine is refused; otherwise the file that it fails on is found.
        answer = multi_crop_answer(bundle, batch, limits, out.send_progress, crops, first)
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
FirstPass = Callable[[Predict, npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""A first pass, which may use Predict for some of the images only."""
Answer = Callable[[Predict, npt.NDArray[np.uint8], Sequence[int]], npt.NDArray[np.float32]]
"""Maps Predict, images (n, side, side, 3) and their rows in the batch to probabilities (n, k)."""


def open_first_pass(
    bundle: Bundle, engine: Engine, kind: Any, threads: int, threshold: float | None
) -> FirstPass | None:
    """Return a first pass in bfloat16, None if the bundle or the CPU has none.

    Only the engine `auto` uses it; an engine that the settings name answers alone.
    """
    from models.inference.bfloat16 import TwoPrecisionPredictor, decision_thresholds
    from models.inference.engines import open_bfloat16

    bfloat16 = open_bfloat16(bundle, engine, threads) if kind == "auto" and threshold is not None else None
    if bfloat16 is None or threshold is None:
        return None
    quick = partial(_predict, bfloat16, labels=len(bundle.labels))
    return TwoPrecisionPredictor(quick, decision_thresholds(bundle, threshold)).predict


def multi_crop_answer(
    bundle: Bundle,
    batch: Batch,
    limits: LimitSettings,
    on_progress: Callable[[], None],
    pool: Executor,
    first: FirstPass | None = None,
) -> Answer:
    """Return how the bundle classifies: low-confidence images are read again, larger, by `pool`.

    `first` is the first pass, if there is one.
    """
    crop = bundle.multi_crop
    if crop is None:
        return partial(_single_pass, first=first, on_progress=on_progress)
    from models.inference import multi_crop
    from pipeline.classifier.image_loader import load

    def answer(
        predict: Predict, images: npt.NDArray[np.uint8], rows: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        def reload(index: int, side: int) -> npt.NDArray[np.uint8] | None:
            pixels = load((0, batch.paths[rows[index]]), side, limits)[1]
            on_progress()
            return pixels

        seen = _single_pass(predict, images, rows, first, on_progress)
        return multi_crop.refine(predict, seen, crop, images.shape[1], reload, pool, bundle.neither)

    return answer


def _single_pass(
    predict: Predict,
    images: npt.NDArray[np.uint8],
    rows: Sequence[int],
    first: FirstPass | None = None,
    on_progress: Callable[[], None] = lambda: None,
) -> npt.NDArray[np.float32]:
    del rows
    chunks = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        chunks.append(first(predict, chunk) if first else predict(chunk))
        on_progress()
    return np.concatenate(chunks)


def classify_batch(
    engine: Engine, labels: Sequence[str], batch: Batch, answer: Answer = _single_pass
) -> list[ClassificationResult]:
    """Classify the readable images of a batch; return a result for each file. Raises BrokenEngine."""
    readable = [i for i, result in enumerate(batch.results) if result.reason is None]
    images = batch.images if len(readable) == len(batch.results) else batch.images[readable]

    def predict(photos: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return _predict(engine, photos, len(labels))

    rows = dict(zip(readable, answer(predict, images, readable), strict=True)) if readable else {}
    return [
        replace(result, scores=dict(zip(labels, map(float, rows[i]), strict=True))) if i in rows else result
        for i, result in enumerate(batch.results)
    ]


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
