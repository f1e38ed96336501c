"""Collect what the page of a day shows, from the CSV files in the folder of the reports."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipeline.decision import FAILED, UNCERTAIN, shown
from pipeline.office.messages import OfficeSettings
from pipeline.office.tables import dicts_of
from pipeline.reports.summary_rows import by_inbox
from pipeline.thumbnails.content import below, content_path
from pipeline.thumbnails.draw_thumbnail import ThumbnailRequest

DAYS = 14
"""Days of the chart."""

MOST_PHOTOS = 24
"""Doubtful photos on a page, each at most MOST_BYTES as a picture."""

MOST_NAMES = 20
"""Names of failed files on a page."""

LONGEST = 160
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A photo in `uncertain/` without a review; `thumbnail` is None if its path is in no known folder."""

    id: int
    name: str
    label: str | None
    probability: float | None
    reason: str | None
    thumbnail: ThumbnailRequest | None


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that cannot be read as a photo, and why."""

    name: str
    reason: str | None


@dataclass(slots=True)
class DayFigures:
    """What a page shows of `day`.

    `outcomes` are numbers of images; `days` the last DAYS that have a summary, oldest first, with theirs;
    `doubtful` has the photos that the model is least sure of, of `doubtful_count`; `failed` the first files
    of those that `reasons` counts; `drift` the rows of the report on drift.
    """

    day: date
    outcomes: dict[str, int]
    inboxes: dict[str, dict[str, int]]
    days: list[tuple[date, dict[str, int]]]
    doubtful: list[Doubtful] = field(default_factory=list)
    doubtful_count: int = 0
    reviewed: int = 0
    failed: list[Failed] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    drift: list[dict[str, Any]] = field(default_factory=list)
    reconciles: bool = True

    @property
    def arrived(self) -> int:
        """Number of images of the day."""
        return sum(self.outcomes.values())

    @property
    def alarms(self) -> list[str]:
        """What is out of line, in sentences."""
        return [row["sentence"] for row in self.drift if row["sentence"]]


def read(settings: OfficeSettings, day: date, alive: Callable[[], None] = lambda: None) -> DayFigures:
    """Read the CSV files of a day, and the summaries of those before. Raises OSError, ValueError."""
    folder, zone = settings.reports, settings.report.zone
    summary = list(dicts_of(folder / f"summary-{day}.csv", zone))
    figures = DayFigures(day, _by_outcome(summary), _by_inbox(summary), _days(settings, day))
    figures.reconciles = all(row["reconciles"] for row in summary)
    figures.drift = list(dicts_of(folder / f"drift-{day}.csv", zone))
    _add_images(figures, dicts_of(folder / f"images-{day}.csv", zone), settings.photo_folders, alive)
    return figures


def _add_images(
    figures: DayFigures,
    rows: Iterable[Mapping[str, Any]],
    folders: tuple[Path, ...],
    alive: Callable[[], None],
) -> None:
    """Count the images, and keep those that are named."""
    least_sure: list[tuple[float, int, Mapping[str, Any]]] = []
    for row in rows:
        alive()
        figures.reviewed += row["reviewed_at"] is not None
        if row["outcome"] == FAILED:
            figures.reasons[row["reason"] or ""] += 1
            if len(figures.failed) < MOST_NAMES:
                figures.failed.append(Failed(row["name"], row["reason"]))
        elif row["outcome"] == UNCERTAIN and row["reviewed_at"] is None:
            figures.doubtful_count += 1
            # A heap of the surest, so that those stay that the model is least sure of.
            least_sure = _kept(least_sure, (-(_shown(row)[1] or 0.0), -row["id"], row))
    figures.doubtful = [_doubtful(row, folders) for _, _, row in sorted(least_sure, reverse=True)]


def _kept(
    heap: list[tuple[float, int, Mapping[str, Any]]], item: tuple[float, int, Mapping[str, Any]]
) -> list[tuple[float, int, Mapping[str, Any]]]:
    if len(heap) < MOST_PHOTOS:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)
    return heap


def _doubtful(row: Mapping[str, Any], folders: tuple[Path, ...]) -> Doubtful:
    place = below(folders, content_path(row))
    request = ThumbnailRequest(row["id"], *place, LONGEST) if place else None
    return Doubtful(row["id"], row["name"], *_shown(row), row["reason"], request)


def _shown(row: Mapping[str, Any]) -> tuple[str | None, float | None]:
    scores = json.loads(row["scores"]) if row["scores"] else None
    answer = shown(row["prediction"], row["confidence"], scores)
    return answer.label, answer.probability


def _days(settings: OfficeSettings, last: date) -> list[tuple[date, dict[str, int]]]:
    found = []
    for past in range(DAYS - 1, -1, -1):
        day = last - timedelta(days=past)
        path = settings.reports / f"summary-{day}.csv"
        if path.is_file():
            found.append((day, _by_outcome(dicts_of(path, settings.report.zone))))
    return found


def _by_outcome(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["outcome"]] = found.get(row["outcome"], 0) + row["images"]
    return found


def _by_inbox(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for inbox, row in by_inbox(rows):
        found.setdefault(inbox, {})[row["outcome"]] = row["images"]
    return found
