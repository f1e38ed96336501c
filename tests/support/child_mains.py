"""Main functions of child processes in tests; light to import, since each child imports them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.classifier.messages import Explain, Finished, Heatmap, Ready, Unusable
from pipeline.web.services.draw_thumbnail import Thumbnail
from tests.support.stub_classifier import LABELS, answer


def dying_thumbnail_child(requests: Connection, answers: Connection, limits: Any) -> None:
    """Draw one thumbnail, then end; `poison` kills it and `hang` is never drawn."""
    answers.send(Ready())
    request = requests.recv()
    if request.source == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if request.source == b"hang":
        time.sleep(3600)
    answers.send(Thumbnail(request.id, b"jpeg"))
    requests.recv()


def page_classifier_child(
    requests: Connection, answers: Connection, bundle: Path, engine: str, limits: Any, threads: int
) -> None:
    """Classify without TensorFlow: the answer is written in the file, as in `stub_classifier`."""
    if bundle.name == "refused":
        answers.send(Unusable("weights.npz: is truncated"))
        return
    answers.send(Ready(LABELS, "stub"))
    with contextlib.suppress(EOFError):
        while True:
            message = requests.recv()
            if isinstance(message, Explain):
                answers.send(_heatmap(message))
                continue
            for _, path in message:
                if b"<crash>" in Path(os.fsdecode(path)).read_bytes():
                    os.kill(os.getpid(), signal.SIGSEGV)
                while b"<hang>" in Path(os.fsdecode(path)).read_bytes():
                    time.sleep(0.05)
            answers.send(Finished([answer(*item) for item in message]))


def _heatmap(request: Explain) -> Heatmap:
    if b"<crash>" in Path(os.fsdecode(request.path)).read_bytes():
        os.kill(os.getpid(), signal.SIGSEGV)
    return Heatmap(b"heat of " + request.label.encode())
