"""Actors of a backfill that need no model."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.backfill.on_ray import _END, PartActor
from pipeline.backfill.source import open_source
from pipeline.backfill.work import Done, PartWorker
from tests.support.stub_classifier import StubClassifier


class StubActor(PartActor):
    """Does parts with a classifier that reads the answer from the file itself."""

    def _worker(self) -> PartWorker:
        staging = Path(tempfile.gettempdir())
        return PartWorker(self._work, open_source(self._work.source), StubClassifier(), staging)


class FailingActor(StubActor):
    """Raises an error that nothing expects for the part 1."""

    def _worker(self) -> PartWorker:
        worker = super()._worker()
        do = worker.do

        def fail(number: int) -> Any:
            if number == 1:
                raise ZeroDivisionError("one of a kind")
            return do(number)

        worker.do = fail  # type: ignore[method-assign]
        return worker


class HangingActor(StubActor):
    """Does no part but the first."""

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        if int(batch["part"][0]):
            time.sleep(3600)
        return super().__call__(batch)


def drive(requests: Connection, answers: Connection, work: None, numbers: Sequence[int], *more: Any) -> None:
    """Be the driver, without Ray."""
    for number in numbers:
        answers.send(Done(number, 1))
    answers.send(_END)


def drive_until_lost(
    requests: Connection, answers: Connection, work: None, numbers: Sequence[int], *more: Any
) -> None:
    """Be a driver that loses its cluster after the first part."""
    answers.send(Done(numbers[0], 1))
    print("the head is lost", file=sys.stderr)
    os.abort()
