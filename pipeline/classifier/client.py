"""Classify files in a child process: the worker sees only ids and results.

TensorFlow is imported in the child alone: a decoder that aborts, hangs or takes all memory ends the child and
not the worker, which starts another child.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from pipeline.child_process import Main
from pipeline.classifier.messages import ClassificationResult, Explain, Finished, Heatmap, Item, Ready
from pipeline.classifier.serve import serve
from pipeline.classifier.supervised_child import ChildFailed, FailureReason, SupervisedChild
from pipeline.errors import ModelError
from pipeline.processes import usable_cpus
from pipeline.settings.sections import LimitSettings

LossReason = FailureReason
"""Why files were lost with a child; also a `reason` of results."""

IN_FLIGHT = 2
"""Batches to submit ahead of their results: one is decoded while the other is classified. More only wait."""

START_SECONDS = 300.0
"""How long a child may take to load TensorFlow and the model: 10 s here, minutes on a swapping machine."""

HEATMAP_SECONDS = 120.0
"""How long a heatmap may take, the building of its network included."""


class ChildLost(Exception):  # noqa: N818 - says what has happened
    """The child ended or missed its deadline; `ids` are the files in flight, none if it was idle."""

    def __init__(self, ids: tuple[int, ...], reason: LossReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail} ({len(ids)} files in flight)")
        self.ids = ids
        self.reason = reason
        self.detail = detail


class Classifier(Protocol):
    """The interface between the worker and a classifier."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The order of the network's outputs; empty until ready."""

    @property
    def engine_name(self) -> str:
        """How the network is run; empty until ready."""

    @property
    def starts(self) -> int:
        """How many children were started; one more than the restarts."""

    @property
    def in_flight(self) -> int:
        """How many batches were submitted and not yet answered."""

    def start(self) -> None:
        """Begin to load the model, unless it is loaded or loading."""

    def ready(self, timeout: float = 0.0) -> bool:
        """Return whether files may be submitted, after up to `timeout` seconds. Raises ModelError."""

    def submit(self, items: Sequence[Item]) -> None:
        """Send one batch without waiting; allowed once `ready`, with fewer than IN_FLIGHT in flight."""

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Return the results of one finished batch, or none after `timeout` seconds.

        Batches come back whole, in the order submitted. Raises ChildLost once for everything in flight, after
        which `start` makes a new child; an engine whose answers are no probabilities is such a loss too.
        """

    def stop(self) -> None:
        """End the child; batches in flight are dropped. Allowed at any time."""


class ProcessClassifier:
    """Classify in a spawned process. `threads` (None: one for each usable CPU) decode, as many infer.

    Decoding and inference take turns on the same CPUs; giving all of them to each leaves none idle when the
    other waits. `sha256` identifies the bundle: a child that loads another is refused. Once `closing` is set,
    each wait raises ClosingError. `child` and `clock` (seconds, monotonic) are parameters for tests.
    """

    def __init__(
        self,
        bundle: Path,
        engine: str,
        limits: LimitSettings,
        threads: int | None = None,
        *,
        sha256: str | None = None,
        child: Main | None = None,
        closing: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labels: tuple[str, ...] = ()
        self.engine_name = ""
        self._bundle = bundle
        self._sha256 = sha256
        self._child = SupervisedChild(
            child or serve,
            *(bundle, engine, limits, threads or usable_cpus()),
            name="the classifier",
            start_seconds=START_SECONDS,
            progress_seconds=limits.decode_seconds,
            closing=closing,
            clock=clock,
        )
        self._ready: Ready | None = None
        self._flying: deque[tuple[int, ...]] = deque()

    @property
    def starts(self) -> int:
        """How many children were started; one more than the restarts."""
        return self._child.starts

    @property
    def in_flight(self) -> int:
        """How many batches were submitted and not yet answered."""
        return len(self._flying)

    @property
    def pid(self) -> int | None:
        """The id of the child process, None without one."""
        return self._child.pid

    def start(self) -> None:
        """Begin to load the model in a new child, unless there is one."""
        self._child.start()

    def ready(self, timeout: float = 0.0) -> bool:
        """Return whether files may be submitted, after up to `timeout` seconds.

        A child that ends while it loads is started again. Raises ModelError when the model is refused, or
        with the child's exit summary after three attempts.
        """
        ready = self._child.ready(timeout)
        if ready is not None and ready is not self._ready:
            self._refuse_another_model(ready)
            self._ready = ready
            self.labels, self.engine_name = ready.labels, ready.engine_name
        return ready is not None

    def submit(self, items: Sequence[Item]) -> None:
        """Send one batch of (id, absolute path) without waiting."""
        assert self.in_flight < IN_FLIGHT, "too many batches in flight"
        self._child.send(tuple(items))
        self._flying.append(tuple(id for id, _ in items))

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Return the results of one finished batch, or none after `timeout` seconds.

        While a batch is in flight, no more than `limits.decode_seconds` may pass without a file read or a
        batch finished: a batch of large photos may take long, a file that hangs may not. Raises ChildLost,
        ModelError.
        """
        if not self._child.is_started or not self.ready(timeout):
            return []
        try:
            message = self._child.receive(timeout)
        except ChildFailed as failure:
            ids = tuple(id for batch in self._flying for id in batch)
            self._flying.clear()
            raise ChildLost(ids, failure.reason, failure.detail) from None
        except ModelError:
            self._flying.clear()
            raise
        if not isinstance(message, Finished):
            return []
        self._flying.popleft()
        return message.results

    def explain(self, request: Explain) -> Heatmap:
        """Return a heatmap of the regions that support a label; allowed once `ready`, with nothing in flight.

        A child that is lost is a Heatmap with a problem. Raises ModelError.
        """
        assert not self._flying, "explain with batches in flight"
        self._child.send(request, HEATMAP_SECONDS)
        try:
            while not isinstance(answer := self._child.receive(1.0), Heatmap):
                pass
        except ChildFailed as failure:
            return Heatmap(None, _PROBLEMS[failure.reason])
        return answer

    def stop(self) -> None:
        """End the child within about two seconds; batches in flight are dropped."""
        self._child.stop()
        self._flying.clear()

    def _refuse_another_model(self, ready: Ready) -> None:
        """Raise ModelError if a child loaded another bundle than the recorded one: it was replaced."""
        self._sha256 = self._sha256 or ready.sha256
        if ready.sha256 != self._sha256:
            self._child.kill()
            raise ModelError(f"{self._bundle}: was replaced while in use; start again to use the new one")


_PROBLEMS: dict[FailureReason, str] = {
    "decoder_crashed": "the decoder crashed",
    "timeout": "it took too long",
}


def classify_files(
    classifier: Classifier, paths: Iterable[bytes], batch_size: int, attempts: int = 2
) -> Iterator[ClassificationResult]:
    """Classify absolute paths and yield a result for each, in the order given; `id` counts from 0.

    A path is taken when its batch is submitted. Files that were in flight when a child was lost are
    classified again one by one; one that brings a child down `attempts` times alone has failed. The caller
    stops the classifier. Raises ModelError.
    """
    items, flying = enumerate(paths), deque[list[Item]]()
    while True:
        while len(flying) < IN_FLIGHT and (batch := list(islice(items, batch_size))):
            _wait_until_ready(classifier)
            flying.append(batch)
            classifier.submit(batch)
        if not flying:
            return
        try:
            results = classifier.poll(1.0)
        except ChildLost:
            for item in [item for batch in flying for item in batch]:
                yield _classify_alone(classifier, item, attempts)
            flying.clear()
            continue
        if results:
            flying.popleft()
            yield from sorted(results, key=lambda result: result.id)


def _classify_alone(classifier: Classifier, item: Item, attempts: int) -> ClassificationResult:
    lost: ChildLost | None = None
    for _ in range(attempts):
        _wait_until_ready(classifier)
        classifier.submit([item])
        try:
            while not (results := classifier.poll(1.0)):
                pass
        except ChildLost as error:
            lost = error
            continue
        return results[0]
    assert lost
    return ClassificationResult(item[0], None, None, lost.reason, lost.detail)


def _wait_until_ready(classifier: Classifier) -> None:
    classifier.start()
    while not classifier.ready(1.0):
        pass
