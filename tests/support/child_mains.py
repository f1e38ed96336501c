"""What runs in children of tests; light to import, since each child does."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.classifier.messages import Finished, Ready, Unusable
from pipeline.web.classifiers.heatmap_classifier import Heat, Question
from pipeline.web.services.draw_thumbnail import Drawn
from tests.support.stub_classifier import LABELS, answer


def dying_painter(requests: Connection, answers: Connection, limits: Any) -> None:
    """Draw one picture, or die of it."""
    order = requests.recv()
    if order.source == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    answers.send(Drawn(order.id, b"jpeg"))
    requests.recv()


def trial_child(
    requests: Connection, answers: Connection, bundle: Path, engine: str, limits: Any, threads: int
) -> None:
    """Be a classifier without TensorFlow: what it answers is in the file, as in `stub_classifier`."""
    if bundle.name == "refused":
        answers.send(Unusable("weights.npz: is truncated"))
        return
    answers.send(Ready(LABELS, "stub"))
    with contextlib.suppress(EOFError):
        while True:
            message = requests.recv()
            if isinstance(message, Question):
                answers.send(_heat(message))
                continue
            for _, path in message:
                if b"<crash>" in Path(os.fsdecode(path)).read_bytes():
                    os.kill(os.getpid(), signal.SIGSEGV)
                while b"<hang>" in Path(os.fsdecode(path)).read_bytes():
                    time.sleep(0.05)
            answers.send(Finished([answer(*item) for item in message]))


def _heat(question: Question) -> Heat:
    if b"<crash>" in Path(os.fsdecode(question.path)).read_bytes():
        os.kill(os.getpid(), signal.SIGSEGV)
    return Heat(b"heat of " + question.label.encode())
