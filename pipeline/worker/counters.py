"""What the worker has done so far: `state/counters.json`, which the metrics show as counters.

The worker writes it with its heartbeat and goes on with it at its next start, so the counts only grow. It is
not synced to disk: after a kill the files of the last second are missing here, and the database counts all.
It stands beside the heartbeat because earlier versions refuse a heartbeat with fields that they do not know.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.decision import FAILED
from pipeline.files.replace_file import replace_file
from pipeline.reasons import FAILURES
from pipeline.worker.steps.held_file import InProgressFile

log = logging.getLogger(__name__)

FILE_NAME = "counters.json"  # in the state folder
SCHEMA_VERSION = 1

BOUNDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Upper bounds of the histogram in seconds: from a photo filed at once to one that waited for a day."""


@dataclass(slots=True)
class Histogram:
    """How many values are at most each of `bounds` and above the one before; the last count is of the rest.

    `sum` is that of all values.
    """

    bounds: tuple[float, ...] = BOUNDS
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Counters:
    """Files taken from inboxes, filed by outcome and failed by reason; seconds from seen to filed; restarts.

    `classifier_restarts` counts the classifier's children that replaced another one.
    """

    arrived: int = 0
    filed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    classifier_restarts: int = 0
    seconds: Histogram = field(default_factory=Histogram)
    _starts: int = field(default=1, compare=False)
    _written: bytes = field(default=b"", compare=False)

    def expect(self, outcomes: Iterable[str]) -> None:
        """Begin at 0 for outcomes and reasons, since Prometheus sees no growth in a series that appears."""
        self.filed = dict.fromkeys(outcomes, 0) | self.filed
        self.failed = dict.fromkeys(FAILURES, 0) | self.failed

    def count_filed(self, files: Sequence[InProgressFile], at: datetime) -> None:
        """Count files that were filed at a moment."""
        for file in files:
            outcome = str(file.outcome)
            self.filed[outcome] = self.filed.get(outcome, 0) + 1
            if file.decision and outcome == FAILED:
                reason = file.decision.reason or "unknown"
                self.failed[reason] = self.failed.get(reason, 0) + 1
            if file.seen_at:
                self.seconds.add(max(0.0, (at - file.seen_at).total_seconds()))  # a clock may be set back

    def follow_starts(self, starts: int) -> None:
        """Count the restarts among so many children of the classifier; another model begins with one."""
        self.classifier_restarts += max(0, starts - max(self._starts, 1))
        self._starts = starts

    def write(self, path: Path) -> None:
        """Replace the file at `path` atomically, if anything was counted. Raises OSError."""
        text = (json.dumps(self._as_dict()) + "\n").encode()
        if text != self._written:
            replace_file(path, [text], durable=False)
            self._written = text

    def _as_dict(self) -> dict[str, Any]:
        seconds = self.seconds
        return {
            "schema_version": SCHEMA_VERSION,
            "arrived": self.arrived,
            "filed": self.filed,
            "failed": self.failed,
            "classifier_restarts": self.classifier_restarts,
            "seconds": {"bounds": seconds.bounds, "counts": seconds.counts, "sum": round(seconds.sum, 3)},
        }


def read(path: Path) -> Counters | None:
    """Return the counters; None if there are none, or none that can be read, so that they begin anew.

    Names that this version does not know are ignored, and those that are missing are 0. Raises OSError if the
    file exists and cannot be read.
    """
    try:
        return _parse(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s: does not hold counters of this version: %r", path, error)
        return None


def resumed(path: Path, outcomes: Iterable[str]) -> Counters:
    """Return the counters for a worker that starts: those of its last run, or new ones."""
    try:
        counters = read(path) or Counters()
    except OSError as error:
        log.warning("%s: %s; the counters begin anew", path, error.strerror)
        counters = Counters()
    if counters.seconds.bounds != BOUNDS:
        counters.seconds = Histogram()
    counters.expect(outcomes)
    return counters


def _parse(values: dict[str, Any]) -> Counters:
    if (version := values["schema_version"]) != SCHEMA_VERSION:
        raise ValueError(f"expected schema_version {SCHEMA_VERSION}, received {version!r}")
    seconds = values.get("seconds") or {"bounds": BOUNDS, "counts": [0] * (len(BOUNDS) + 1), "sum": 0.0}
    bounds, counts = tuple(map(float, seconds["bounds"])), list(map(int, seconds["counts"]))
    if len(counts) != len(bounds) + 1:
        raise ValueError("as many counts as bounds, and one more, are expected")
    return Counters(
        int(values.get("arrived", 0)),
        _counts(values.get("filed", {})),
        _counts(values.get("failed", {})),
        int(values.get("classifier_restarts", 0)),
        Histogram(bounds, counts, float(seconds["sum"])),
    )


def _counts(values: dict[str, Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in values.items()}
