"""Figures of a bundle: the files that `evaluate` and `train` wrote, and the corrections of visitors."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.queries.review import Settled
from models.calibration import wilson
from pipeline.files.safe_open import open_if_regular

LARGEST = 4_000_000
"""Bytes that are read of each file."""

WORST = 24


@dataclass(frozen=True, slots=True)
class Confusion:
    """A confusion matrix: counts by true label (rows) and predicted label (columns)."""

    truths: tuple[str, ...]
    said: tuple[str, ...]
    counts: Mapping[tuple[str, str], int]

    def share(self, truth: str, said: str) -> float:
        """Return the share of a cell in its row, 0 to 1."""
        total = sum(self.counts.get((truth, other), 0) for other in self.said)
        return self.counts.get((truth, said), 0) / total if total else 0.0

    def heat(self, truth: str, said: str) -> int:
        """Return the colour step of a cell, 0 to 5."""
        return 0 if not self.counts.get((truth, said)) else 1 + min(4, int(self.share(truth, said) * 5))


@dataclass(frozen=True, slots=True)
class Kept:
    """The precision of a class, measured on the files filed in its folder that visitors have reviewed.

    `low` and `high` are Wilson's 95% interval of `right` of `looked_at`.
    """

    label: str
    right: int
    looked_at: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The precision, 0 to 1."""
        return self.right / self.looked_at


@dataclass(frozen=True, slots=True)
class Mistake:
    """A photo that the model classified wrongly.

    `pictures` lists the pictures that exist: False for the photo, True for its heatmap.
    """

    number: int
    path: str
    label: str
    prediction: str
    probability: float | None
    pictures: tuple[bool, ...]


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV in a bundle's folder; none if it is missing or not a regular file."""
    found = open_if_regular(folder, name)
    if found is None:
        return []
    with open(found[0], "rb") as file:
        text = file.read(LARGEST).decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [{key: value or "" for key, value in row.items() if key} for row in rows]


def number(text: str | None) -> float | None:
    """Parse a number; None for an empty cell or other text."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def confusion(folder: Path) -> Confusion | None:
    """Return the confusion matrix that `evaluate` wrote, None without one."""
    rows = read(folder, "confusion.csv")
    if not rows or "true" not in rows[0]:
        return None
    said = tuple(name for name in rows[0] if name != "true")
    counts = {(row["true"], name): int(number(row[name]) or 0) for row in rows for name in said}
    return Confusion(tuple(row["true"] for row in rows), said, counts)


def curve(folder: Path, kind: str) -> dict[str, list[tuple[float, float]]]:
    """Return the curves of one kind as points (x, y), by the name of each curve."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in read(folder, "curves.csv"):
        x, y = number(row.get("x")), number(row.get("y"))
        if row.get("curve") == kind and x is not None and y is not None:
            found.setdefault(row.get("of", ""), []).append((x, y))
    return found


def worst(folder: Path) -> list[Mistake]:
    """Return the mistakes with the highest confidence, in the order of `worst.csv`."""
    rows = [row for row in read(folder, "worst.csv") if re.fullmatch("[0-9]{1,4}", row.get("number", ""))]
    return [_mistake(folder, row, int(row["number"])) for row in rows[:WORST]]


def _mistake(folder: Path, row: Mapping[str, str], at: int) -> Mistake:
    pictures = tuple(why for why in (False, True) if (folder / os.fsdecode(picture(at, why))).is_file())
    said = {name: row.get(name, "") for name in ("path", "label", "prediction")}
    return Mistake(at, **said, probability=number(row.get("probability")), pictures=pictures)


def picture(number: int, why: bool) -> bytes:
    """Return the path, in that folder, of the picture of a mistake, or of its heatmap with `why`."""
    return f"worst/{number}{'-why' if why else ''}.jpg".encode()


def live_confusion(settled: Sequence[Settled]) -> Confusion | None:
    """Return the confusion matrix of corrected against predicted labels; None without corrections."""
    counts: dict[tuple[str, str], int] = {}
    for part in settled:
        cell = part.corrected_to, part.label or "failed"
        counts[cell] = counts.get(cell, 0) + part.count
    if not counts:
        return None
    names = sorted({name for cell in counts for name in cell}, key=lambda name: (name == "neither", name))
    return Confusion(tuple(n for n in names if any(n == t for t, _ in counts)), tuple(names), counts)


def kept(settled: Sequence[Settled], folders: Mapping[str, str]) -> list[Kept]:
    """Return the precision of each class on files that the model filed and visitors reviewed."""
    found = []
    for label, folder in folders.items():
        filed = [part for part in settled if part.verdict == folder]
        total = sum(part.count for part in filed)
        right = sum(part.count for part in filed if part.corrected_to == label)
        if total:
            found.append(Kept(label, right, total, *wilson(right, total)))
    return found
