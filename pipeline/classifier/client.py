"""The child process that holds batching and the model; the worker sees only ids and results.

TensorFlow is imported in the child alone: a decoder that aborts, hangs or takes all memory takes the child
with it and not the worker, which starts another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

from pipeline.child_process import ChildProcess, Main, ProcessExited
from pipeline.classifier.messages import ClassificationResult, Finished, Item, Ready, Unusable, Working
from pipeline.classifier.serve import serve
from pipeline.config import LimitSettings
from pipeline.errors import ModelError
from pipeline.processes import usable_cpus

LossReason = Literal["decoder_crashed", "timeout"]

IN_FLIGHT = 2
"""Batches to submit ahead of their results: one is decoded while the other is classified. More only wait."""

START_SECONDS = 300.0
"""How long a child may take to load TensorFlow and the model: 10 s here, minutes on a swapping machine."""

START_ATTEMPTS = 3


class ChildLost(Exception):  # noqa: N818 - says what has happened
    """The child died or missed its deadline; `ids` is all that was in flight, nothing if it was idle."""

    def __init__(self, ids: tuple[int, ...], reason: LossReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail} ({len(ids)} files in flight)")
        self.ids = ids
        self.reason = reason
        self.detail = detail


class Classifier(Protocol):
    """What the worker needs of a classifier."""

    labels: tuple[str, ...]
    """The order of the network's outputs; empty until ready."""
    engine_name: str
    """How the network is run; empty until ready."""
    starts: int
    """How many children were started; one more than the restarts."""

    @property
    def in_flight(self) -> int:
        """How many batches were submitted and not yet answered."""

    def start(self) -> None:
        """Begin to load the model, unless it is loaded or loading."""

    def ready(self, timeout: float = 0.0) -> bool:
        """Say whether files may be submitted, waiting up to `timeout` seconds. Raises ModelError."""

    def submit(self, items: Sequence[Item]) -> None:
        """Hand over one batch without waiting; allowed once `ready`, with fewer than IN_FLIGHT in flight."""

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Return the findings of one finished batch, or none after `timeout` seconds.

        Batches come back whole, in the order submitted. Raises ChildLost once for everything in flight, after
        which `start` makes a new child; an engine whose answers are no probabilities is such a loss too.
        """

    def stop(self) -> None:
        """End the child; what is in flight is forgotten. Allowed at any time."""


class ProcessClassifier:
    """Classify in a spawned process. `threads` (None: one for each CPU we may use) decode, as many infer.

    Decoding and inference take turns on the same CPUs; giving all of them to each leaves none idle when the
    other waits. `sha256` is what the bundle is known by: a child that finds another is refused. `child` and
    `clock` (seconds, monotonic) are parameters for tests.
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labels: tuple[str, ...] = ()
        self.engine_name = ""
        self.starts = 0
        self._main = child or serve
        self._arguments = (bundle, engine, limits, threads or usable_cpus())
        self._limits = limits
        self._sha256 = sha256
        self._clock = clock
        self._child: ChildProcess | None = None
        self._ready = False
        self._failed_starts = 0
        self._flying: deque[tuple[int, ...]] = deque()
        self._since = 0.0  # when the child began what it does now: loading, or the oldest batch in flight

    @property
    def in_flight(self) -> int:
        """How many batches were submitted and not yet answered."""
        return len(self._flying)

    @property
    def pid(self) -> int | None:
        """The id of the child process, None without one."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Begin to load the model in a new child, unless there is one."""
        if self._child is None:
            self._child = ChildProcess(self._main, *self._arguments)
            self._since = self._clock()
            self.starts += 1

    def ready(self, timeout: float = 0.0) -> bool:
        """Say whether files may be submitted, waiting up to `timeout` seconds.

        A child that dies while it loads is started again. Raises ModelError when the model is refused, or
        after START_ATTEMPTS deaths, with the child's last words.
        """
        if not self._ready:
            self.start()
            self._await_ready(timeout)
        return self._ready

    def submit(self, items: Sequence[Item]) -> None:
        """Hand over one batch of (id, absolute path) without waiting."""
        assert self._ready and self._child, "submit before ready"
        assert self.in_flight < IN_FLIGHT, "too many batches in flight"
        if not self._flying:
            self._since = self._clock()
        self._flying.append(tuple(id for id, _ in items))
        self._child.send(tuple(items))

    def poll(self, timeout: float) -> list[ClassificationResult]:
        """Return the findings of one finished batch, or none after `timeout` seconds.

        While a batch is in flight, no more than `limits.decode_seconds` may pass without a file read or a
        batch finished: a batch of large photos may take long, a file that hangs may not. Raises ChildLost,
        ModelError.
        """
        if self._child is None or not self.ready(timeout):
            return []
        try:
            message = self._child.receive(min(timeout, self._remaining()))
        except ProcessExited:
            raise self._lost("decoder_crashed") from None
        if isinstance(message, Unusable):
            self._kill()
            raise ModelError(message.message)
        if isinstance(message, Working):
            self._since = self._clock()
            return []
        if isinstance(message, Finished):
            self._flying.popleft()
            self._since = self._clock()
            return message.results
        if self._remaining() <= 0:
            raise self._lost("timeout")
        return []

    def stop(self) -> None:
        """End the child within about two seconds; what is in flight is forgotten."""
        if self._child and self._ready:
            self._child.stop()
        elif self._child:
            self._child.kill()  # it would first load the model
        self._forget()

    def _await_ready(self, timeout: float) -> None:
        assert self._child
        try:
            message = self._child.receive(timeout)
        except ProcessExited:
            return self._start_again()
        if isinstance(message, Unusable):
            self._kill()
            raise ModelError(message.message)
        if isinstance(message, Ready):
            self._refuse_another_model(message)
            self.labels, self.engine_name = message.labels, message.engine_name
            self._ready, self._failed_starts = True, 0
        elif self._clock() - self._since > START_SECONDS:
            self._start_again()
        return None

    def _refuse_another_model(self, ready: Ready) -> None:
        """Raise ModelError if a child loaded what the rows would not name: the bundle was replaced."""
        self._sha256 = self._sha256 or ready.sha256
        if ready.sha256 != self._sha256:
            self._kill()
            raise ModelError(
                f"{self._arguments[0]}: was replaced while in use; start again to use the new one"
            )

    def _start_again(self) -> None:
        obituary = self._kill()
        self._failed_starts += 1
        if self._failed_starts >= START_ATTEMPTS:
            self._failed_starts = 0
            raise ModelError(
                f"the classifier ended {START_ATTEMPTS} times while loading the model: {obituary}"
            )
        self.start()

    def _remaining(self) -> float:
        if not self._flying:
            return float("inf")
        return self._since + self._limits.decode_seconds - self._clock()

    def _lost(self, reason: LossReason) -> ChildLost:
        ids = tuple(id for batch in self._flying for id in batch)
        obituary = self._kill()
        late = f"no progress within {self._limits.decode_seconds:g} s"
        return ChildLost(ids, reason, late if reason == "timeout" else obituary)

    def _kill(self) -> str:
        obituary = self._child.kill() if self._child else ""
        self._forget()
        return obituary

    def _forget(self) -> None:
        self._child, self._ready = None, False
        self._flying.clear()


def classify_files(
    classifier: Classifier, paths: Iterable[bytes], batch_size: int, attempts: int = 2
) -> Iterator[ClassificationResult]:
    """Classify absolute paths and yield a finding for each, in the order given; its `id` counts from 0.

    Files that were in flight when a child was lost are classified again one by one; one that brings a child
    down `attempts` times alone has failed. The caller stops the classifier. Raises ModelError.
    """
    items = list(enumerate(paths))
    waiting = deque(items[i : i + batch_size] for i in range(0, len(items), batch_size))
    flying: deque[list[Item]] = deque()
    while waiting or flying:
        _wait_until_ready(classifier)
        while waiting and len(flying) < IN_FLIGHT:
            flying.append(waiting.popleft())
            classifier.submit(flying[-1])
        try:
            findings = classifier.poll(1.0)
        except ChildLost:
            for item in [item for batch in flying for item in batch]:
                yield _classify_alone(classifier, item, attempts)
            flying.clear()
            continue
        if findings:
            flying.popleft()
            yield from sorted(findings, key=lambda finding: finding.id)


def _classify_alone(classifier: Classifier, item: Item, attempts: int) -> ClassificationResult:
    lost: ChildLost | None = None
    for _ in range(attempts):
        _wait_until_ready(classifier)
        classifier.submit([item])
        try:
            while not (findings := classifier.poll(1.0)):
                pass
        except ChildLost as error:
            lost = error
            continue
        return findings[0]
    assert lost
    return ClassificationResult(item[0], None, None, lost.reason, lost.detail)


def _wait_until_ready(classifier: Classifier) -> None:
    classifier.start()
    while not classifier.ready(1.0):
        pass
