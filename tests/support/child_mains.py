"""Main functions of child processes in tests; light to import, since each child imports them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.classifier.messages import Explain, Finished, Heatmap, Item, Ready, Unusable, Working
from tests.support.stub_answers import LABELS, answer, answer_of_version


def stub_child(
    requests: Connection, answers: Connection, bundle: Path, engine: str, limits: object, threads: int
) -> None:
    """Be the child of a ProcessClassifier, without TensorFlow: markers in a file end it in earnest.

    A bundle named `refused` is refused, `broken` ends the child while it loads, `slow` never loads.
    """
    if bundle.name == "refused":
        answers.send(Unusable("weights.npz: is truncated"))
        return
    if bundle.name == "broken":
        raise RuntimeError("no room for weights")
    if bundle.name == "slow":
        time.sleep(3600)
    known_by = bundle / "sha256"
    answers.send(Ready(LABELS, "stub", known_by.read_text() if known_by.exists() else None))
    with contextlib.suppress(EOFError):
        while True:
            items: Sequence[Item] = requests.recv()
            for _, path in items:
                if b"<work>" in Path(os.fsdecode(path)).read_bytes():
                    answers.send(Working())
                _die_if_poison(path)
            answers.send(Finished([answer(*item) for item in items]))


def restless_child(requests: Connection, answers: Connection, *_: object) -> None:
    """Be a child that is ready and then crashes, after its answer was read: else it has not started."""
    answers.send(Ready(LABELS, "stub"))
    requests.poll(0.2)
    os.abort()


def crashing_child(requests: Connection, answers: Connection, *_: object) -> None:
    """Be a child that crashes with every photo."""
    answers.send(Ready(LABELS, "stub"))
    requests.recv()
    os.abort()


def _die_if_poison(path: bytes) -> None:
    data = Path(os.fsdecode(path)).read_bytes()
    if b"<crash>" in data:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"<abort>" in data:
        os.abort()
    if b"<exit>" in data:
        os._exit(3)
    if b"<memory>" in data:
        raise MemoryError("no room for pixels")
    if b"<eat>" in data:
        eaten = []
        while True:
            eaten.append(b"x" * (32 << 20))
    if b"<parent>" in data:
        os.kill(os.getppid(), signal.SIGKILL)
    if b"<hang>" in data:
        time.sleep(3600)


def version_child(requests: Connection, answers: Connection, bundle: Path, *_: object) -> None:
    """Be a version of the stub's model: its folder has its number, `behaviour` in it how it fails."""
    behaviour = bundle / "behaviour"
    how = behaviour.read_text() if behaviour.exists() else ""
    if how == "refused":
        answers.send(Unusable(f"{bundle}: the self-test failed"))
        return
    if how == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    number = int(bundle.name) if bundle.name.isdigit() else 0
    answers.send(Ready(LABELS, "stub"))
    with contextlib.suppress(EOFError):
        while True:
            items: Sequence[Item] = requests.recv()
            if how == "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            answers.send(Finished([answer_of_version(number, *item) for item in items]))


def dying_thumbnail_child(requests: Connection, answers: Connection, limits: Any) -> None:
    """Draw one thumbnail, then end; `poison` kills it and `hang` is never drawn."""
    from pipeline.thumbnails.draw_thumbnail import Thumbnail  # before the clock of the first request runs

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
