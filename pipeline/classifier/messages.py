"""Messages between a process that asks about photos and the child process that reads them.

It imports neither NumPy nor Pillow nor TensorFlow, so that both sides start quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.classifier.file_checks import Admitted

Item = tuple[int, bytes]
"""The id of a file and its absolute path. A tuple of items is the request to classify one batch."""


class ClassificationResult(NamedTuple):
    """The result for one file.

    `scores` (label -> probability, 0 to 1) and `reason` (a failure, with `detail` for people) exclude each
    other; both are None for a file that was read and not classified yet. `admitted` is None when the file was
    refused before its header was understood. `both` says that it shows animals of two labels;
    `brightness` (0 to 1) is the mean of the decoded picture, None if there is none.
    A named tuple, because pickling a dataclass with slots takes five times as long.
    """

    id: int
    admitted: Admitted | None
    scores: dict[str, float] | None = None
    reason: str | None = None
    detail: str | None = None
    both: bool = False
    brightness: float | None = None


@dataclass(frozen=True, slots=True)
class Explain:
    """To the child: draw the regions of the photo at `path` (absolute) that support `label`.

    `longest` is the longer side of the drawing in pixels.
    """

    path: bytes
    label: str
    longest: int


@dataclass(frozen=True, slots=True)
class Heatmap:
    """From the child: a JPEG of the photo with the supporting regions highlighted, or a problem."""

    jpeg: bytes | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """From the child: it accepts requests; a model is loaded and has passed its self-test."""

    labels: tuple[str, ...] = ()
    engine_name: str = ""
    sha256: str | None = None  # of the bundle's weights


@dataclass(frozen=True, slots=True)
class Unusable:
    """From the child, its last message: the model cannot be used."""

    message: str


@dataclass(frozen=True, slots=True)
class Working:
    """From the child: another file was read or classified; sent once a second at most."""


@dataclass(frozen=True, slots=True)
class Finished:
    """From the child: the results of one whole batch."""

    results: list[ClassificationResult]
