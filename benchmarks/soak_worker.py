"""The worker of a soak: a real one, whose child reads its answers from markers in the files.

    python -m benchmarks.soak_worker CONFIG [--model]

Its own module, so that the child, which imports the main module of its parent, starts quickly.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

LABELS = ("cat", "dog", "neither")

Item = tuple[int, bytes]

DEATHS = ("<crash>", "<abort>", "<hang>", "<memory>", "<nan>")
"""Markers of files that bring a child down, each in its own way."""


def main() -> int:
    """Run the worker until a signal; with `--model`, on the model of the settings."""
    from pipeline import logs
    from pipeline.classifier.client import ProcessClassifier
    from pipeline.classifier.configured_model import load_bundle
    from pipeline.errors import PawsortError
    from pipeline.service import service
    from pipeline.settings import config

    settings = config.load(Path(sys.argv[1]))
    logs.set_up(settings.log.format, settings.log.level)
    classifier = None
    if "--model" not in sys.argv[2:]:
        bundle = load_bundle(settings).path
        classifier = ProcessClassifier(bundle, settings.engine, settings.limits, threads=1, child=child)
    try:
        return service.run(settings, classifier=classifier)
    except PawsortError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return error.exit_code


def child(requests: Connection, answers: Connection, *_: Any) -> None:
    """Answer by marker, without TensorFlow; what kills a decoder kills this process in earnest."""
    from pipeline.classifier.messages import Finished, Ready

    answers.send(Ready(LABELS, "stub"))
    with contextlib.suppress(EOFError):
        while True:
            items: Sequence[Item] = requests.recv()
            contents = [Path(os.fsdecode(path)).read_bytes() for _, path in items]
            for data in contents:
                _die_if_poison(data)
            answers.send(
                Finished([_finding(id, data) for (id, _), data in zip(items, contents, strict=True)])
            )


def _die_if_poison(data: bytes) -> None:
    from pipeline.classifier.serve import BrokenEngine

    if b"<nan>" in data:
        raise BrokenEngine("the stub engine failed twice on the same images: NaN")
    if b"<crash>" in data:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"<abort>" in data:
        os.abort()
    if b"<memory>" in data:
        raise MemoryError("no room for pixels")
    if b"<hang>" in data:
        time.sleep(3600)


def _finding(id: int, data: bytes) -> Any:
    from pipeline.classifier.file_checks import Admitted
    from pipeline.classifier.messages import ClassificationResult

    if b"<truncated>" in data:
        return ClassificationResult(id, None, None, "truncated", "says the marker")
    guess = hashlib.sha256(data).digest()[0] % len(LABELS)
    scores = {label: 0.998 if n == guess else 0.001 for n, label in enumerate(LABELS)}
    return ClassificationResult(id, Admitted("JPEG", 640, 480, 1, None), scores)


if __name__ == "__main__":
    sys.exit(main())
