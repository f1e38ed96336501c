"""Answers of classifiers without TensorFlow: each is written into the file itself, as a marker in its bytes.

A generated picture keeps its meaning with a marker appended after its end: `picture + b"<dog>"`. Light to
import, because each child process of a test imports it: without NumPy and Pillow.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.classifier.messages import ClassificationResult

LABELS = ("cat", "dog", "neither")

SCORES = {
    b"<cat>": {"cat": 0.998, "dog": 0.001, "neither": 0.001},
    b"<dog>": {"cat": 0.001, "dog": 0.998, "neither": 0.001},
    b"<neither>": {"cat": 0.001, "dog": 0.001, "neither": 0.998},
    b"<unsure>": {"cat": 0.5, "dog": 0.4, "neither": 0.1},
    b"<both>": {"cat": 0.49, "dog": 0.49, "neither": 0.02},
}
REASONS = {b"<truncated>": "truncated", b"<corrupt>": "corrupt", b"<not_an_image>": "not_an_image"}


class Later:
    """Becomes `name(*fields)` of a module when it is unpickled: a child need not import what that takes."""

    def __init__(self, module: str, name: str, *fields: object) -> None:
        self._made_of = module, name, *fields

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _make, self._made_of


def _make(module: str, name: str, *fields: object) -> object:
    return getattr(importlib.import_module(module), name)(*fields)


BRIGHTNESS = 0.45
ADMITTED = ("JPEG", 640, 480, 1, None)


def answer(id: int, path: bytes, admitted: Any = None) -> ClassificationResult:
    """Answer for one file: by its marker; without one, cat or dog by the hash of its content.

    `admitted` is an `Admitted`; without it the result has one when it was sent to another process.
    """
    admitted = admitted or Later("pipeline.classifier.file_checks", "Admitted", *ADMITTED)
    try:
        data = Path(os.fsdecode(path)).read_bytes()
    except OSError as error:
        return ClassificationResult(id, None, None, "unreadable", error.strerror)
    for marker, reason in REASONS.items():
        if marker in data:
            return ClassificationResult(id, None, None, reason, "says the marker")
    marker = next((marker for marker in SCORES if marker in data), b"")
    guess = (b"<cat>", b"<dog>")[hashlib.sha256(data).digest()[0] % 2]
    return ClassificationResult(
        id, admitted, dict(SCORES[marker or guess]), both=marker == b"<both>", brightness=BRIGHTNESS
    )


def answer_of_version(number: int, id: int, path: bytes, admitted: Any = None) -> ClassificationResult:
    """Answer as a version of the stub's model does: with scores that tell which one it is."""
    result = answer(id, path, admitted)
    return result._replace(scores=result.scores and scores_of_version(number, result.scores))


def scores_of_version(number: int, scores: dict[str, float]) -> dict[str, float]:
    """Return scores that tell a version, and have the same likeliest label."""
    return {label: score * (1 - number / 1000) for label, score in scores.items()}
