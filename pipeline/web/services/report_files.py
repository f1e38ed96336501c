"""The files in the reports folder: list them, parse a summary, and read one for download."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.files.safe_open import open_if_regular

NAME = re.compile(
    r"(summary|images|drift)-(\d{4}-\d{2}-\d{2})\.csv|latest-(summary|images|drift)\.csv", re.ASCII
)
"""Names of reports; no other file in the folder can be read."""

LARGEST_SUMMARY = 4_000_000
"""Maximum bytes of a summary that are read for the page."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Day:
    """A day that has reports; sizes are in bytes, None for a file that is missing."""

    day: str
    summary: int | None
    images: int | None
    drift: int | None = None


def days(folder: Path) -> list[Day]:
    """Return the days that have reports, the newest first."""
    sizes: dict[str, dict[str, int]] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            match = NAME.fullmatch(entry.name)
            if match and match[2] and entry.is_file(follow_symlinks=False):
                sizes.setdefault(match[2], {})[match[1]] = entry.stat(follow_symlinks=False).st_size
    return [
        Day(day, *(sizes[day].get(kind) for kind in ("summary", "images", "drift")))
        for day in sorted(sizes, reverse=True)
    ]


def open_report(folder: Path, name: str) -> tuple[int, int] | None:
    """Return a descriptor of a report and its size; None for another name or if it is not a regular file."""
    return open_if_regular(folder, name) if NAME.fullmatch(name) else None


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a file in pieces."""
    while piece := file.read(_PIECE):
        yield piece


def summary(folder: Path, day: str) -> list[dict[str, str]]:
    """Return the rows of a day's summary; none if the file is missing or is not a summary."""
    return [
        row for row in _rows(folder, f"summary-{day}.csv") if {"inbox", "outcome", "images"} <= row.keys()
    ]


def drift(folder: Path, day: str) -> list[str]:
    """Return the sentences on what was out of line on a day."""
    return [text for row in _rows(folder, f"drift-{day}.csv") if (text := row.get("sentence"))]


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    found = open_report(folder, name)
    if found is None:
        return []
    with open(found[0], "rb") as file:
        text = file.read(LARGEST_SUMMARY).decode("utf-8", "replace")
    return [_plain(row) for row in csv.DictReader(io.StringIO(text, newline=""))]


def _plain(row: dict[str, str]) -> dict[str, str]:
    # The report puts an apostrophe before cells that a spreadsheet would evaluate.
    return {key: re.sub(r"^'('*[=+\-@\t\r\n])", r"\1", value or "") for key, value in row.items() if key}


def counts(rows: list[dict[str, str]]) -> dict[str, int]:
    """Return the number of images of a summary by outcome."""
    found: dict[str, int] = {}
    for row in rows:
        if row["images"].isdigit():
            found[row["outcome"]] = found.get(row["outcome"], 0) + int(row["images"])
    return found
