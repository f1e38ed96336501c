"""Build a day's summary, one row for each worker, inbox and outcome, from parts of the day's images."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from db.queries.listing import WAITING

SCHEMA_VERSION = 1

COLUMNS = {
    "schema_version": "Int64",  # 1; rises when a column changes its name, place or meaning
    "day": "str",  # YYYY-MM-DD, a day of report.timezone; YYYY-MM or YYYY in the summary of a month or year
    "inbox": "str",  # the absolute folder
    "outcome": "str",  # a folder of `sorted`; `waiting` (not filed yet), `undone`, `removed` (deleted)
    "images": "Int64",  # number that arrived on that day and have this outcome now
    "share": "float64",  # of the images of this worker, inbox and day, 0 to 1
    "confidence_mean": "float64",  # of images with a confidence; quantiles interpolate linearly
    "confidence_p10": "float64",
    "confidence_p50": "float64",
    "confidence_p90": "float64",
    "bytes": "Int64",  # of the files, together
    "seconds_to_filed_mean": "float64",  # from first seen until durably filed, including the settle time
    "seconds_to_filed_p50": "float64",
    "seconds_to_filed_p95": "float64",
    "arrived": "Int64",  # in this inbox on that day, counted separately by the database
    "reconciles": "bool",  # whether the `images` of all rows of this inbox add up to `arrived`
    "shown_probability_p50": "float64",  # median of the probability of the word that is shown: "neither" too
    "worker": "str",  # the name of the worker that has the inbox; missing before its first start
}
"""The columns of a summary in their order, each with its dtype."""

COUNTED = (
    "inbox", "state", "outcome", "prediction", "confidence", "scores", "bytes", "seen_at", "filed_at",
    "worker",
)  # fmt: skip
"""The columns of `results` that a summary is made from."""

Place = tuple[str, str]
"""The name of a worker, empty if it has none yet, and an inbox: machines may have inboxes of equal paths."""

_UNSETTLED = {
    "claimed": WAITING, "decoding": WAITING, "decided": WAITING, "undone": "undone", "removed": "removed",
}  # fmt: skip


@dataclass(slots=True)
class _Group:
    """The images of one worker, inbox and outcome; eight bytes for each value that a quantile needs."""

    images: int = 0
    bytes: int = 0
    confidences: array[float] = field(default_factory=lambda: array("d"))
    seconds: array[float] = field(default_factory=lambda: array("d"))
    shown: array[float] = field(default_factory=lambda: array("d"))

    def add(self, part: pd.DataFrame) -> None:
        self.images += len(part)
        self.bytes += int(part["bytes"].sum())
        self.confidences.extend(part["confidence"].dropna())
        self.shown.extend(part["shown_probability"].dropna())
        self.seconds.extend((part["filed_at"] - part["seen_at"]).dt.total_seconds().dropna())


class SummaryBuilder:
    """Count images by worker, inbox and outcome, a part at a time.

    Each inbox of the day gets a row for each of `outcomes`, even without images.
    """

    def __init__(self, outcomes: Iterable[str]) -> None:
        self._outcomes = tuple(outcomes)
        self._groups: dict[tuple[Place, str], _Group] = {}

    def add(self, images: pd.DataFrame) -> None:
        """Count a part of the images: the columns COUNTED, typed, and `shown_probability`."""
        # A filed image without an outcome is in no group, so the summary does not reconcile.
        outcome = images["state"].map(_UNSETTLED).fillna(images["outcome"])
        by = [images["worker"].fillna(""), images["inbox"], outcome]
        for (worker, inbox, folder), part in images.groupby(by, sort=False):
            key = (str(worker), str(inbox)), str(folder)
            self._groups.setdefault(key, _Group()).add(part)

    def counts(self) -> dict[str, int]:
        """Return images by outcome over all inboxes, always including the expected ones and `waiting`."""
        counts = dict.fromkeys([*self._outcomes, WAITING], 0)
        for (_, outcome), group in sorted(self._groups.items()):
            counts[outcome] = counts.get(outcome, 0) + group.images
        return counts

    def settled(self, before: Mapping[Place, int], after: Mapping[Place, int]) -> dict[Place, int]:
        """Return the arrivals by place, from counts made before and after the images were read.

        On a finished day the two are equal. While images arrive, any count between them is correct.
        """
        counted = {}
        for place in sorted({*before, *after}):
            low, high = sorted((before.get(place, 0), after.get(place, 0)))
            counted[place] = min(max(self._accounted(place), low), high)
        return {place: images for place, images in counted.items() if images}

    def reconciles(self, arrived: Mapping[Place, int]) -> bool:
        """Return whether the counted images add up to `arrived` in each place."""
        return all(self._accounted(place) == arrived.get(place, 0) for place in self._places(arrived))

    def frame(self, day: str, arrived: Mapping[Place, int]) -> pd.DataFrame:
        """Return the summary, without rows if nothing arrived.

        `day` is a day, month or year as in the column; `arrived` counts images by place.
        """
        rows = [
            self._row(day, place, outcome, arrived.get(place, 0))
            for place in self._places(arrived)
            for outcome in self._rows_of(place)
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    def _places(self, arrived: Mapping[Place, int]) -> list[Place]:
        return sorted({place for place, _ in self._groups} | set(arrived))

    def _rows_of(self, place: Place) -> list[str]:
        others = {outcome for known, outcome in self._groups if known == place} - {*self._outcomes, WAITING}
        return [*self._outcomes, *sorted(others), WAITING]

    def _accounted(self, place: Place) -> int:
        return sum(group.images for (known, _), group in self._groups.items() if known == place)

    def _row(self, day: str, place: Place, outcome: str, arrived: int) -> tuple[object, ...]:
        group = self._groups.get((place, outcome), _Group())
        worker, inbox = place
        return (
            SCHEMA_VERSION,
            day,
            inbox,
            outcome,
            group.images,
            group.images / arrived if arrived else math.nan,
            _mean(group.confidences),
            *_quantiles(group.confidences, 0.1, 0.5, 0.9),
            group.bytes,
            _mean(group.seconds),
            *_quantiles(group.seconds, 0.5, 0.95),
            arrived,
            self._accounted(place) == arrived,
            *_quantiles(group.shown, 0.5),
            worker or None,
        )


def _mean(values: array[float]) -> float:
    # Exact, so that neither the order of the images nor the processor changes the result.
    return math.fsum(values) / len(values) if values else math.nan


def _quantiles(values: array[float], *shares: float) -> list[float]:
    return np.quantile(values, shares).tolist() if values else [math.nan] * len(shares)
