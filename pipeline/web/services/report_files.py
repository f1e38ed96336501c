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

from pipeline.files.safe_open import open_folder, open_regular

KINDS = {
    "summary": "summary-{}.csv", "images": "images-{}.csv", "drift": "drift-{}.csv",
    "page": "report-{}.html", "workbook": "report-{}.xlsx", "summary for Excel": "excel-summary-{}.csv",
    "images for Excel": "excel-images-{}.csv", "drift for Excel": "excel-drift-{}.csv",
}  # fmt: skip
"""The files of a day by kind, with its name for people; `{}` is the day."""

PERIOD_KINDS = {kind: KINDS[kind] for kind in ("summary", "workbook", "summary for Excel")}
"""The files of a month or year."""

_DAY, _MONTH, _YEAR = r"\d{4}-\d{2}-\d{2}", r"\d{4}-\d{2}", r"\d{4}"
_STEM = r"((?:excel-)?summary-{0}\.csv|report-{0}\.xlsx)"
NAME = re.compile(
    rf"(?:excel-)?(?:summary|images|drift)-{_DAY}\.csv|report-{_DAY}\.(?:html|xlsx)"
    r"|latest-(?:excel-)?(?:summary|images|drift)\.csv|latest-report\.(?:html|xlsx)"
    rf"|months/{_STEM.format(_MONTH)}|years/{_STEM.format(_YEAR)}",
    re.ASCII,
)
"""Names of reports; no other file in the folder can be read."""

_NAMED = re.compile(rf"({_DAY}|{_MONTH}|{_YEAR})", re.ASCII)

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

LARGEST_SUMMARY = 4_000_000
"""Maximum bytes of a summary that are read for the page."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Day:
    """A day, month or year that has reports; `sizes` has the bytes of each file that is there, by kind."""

    day: str
    sizes: dict[str, int]

    @property
    def summary(self) -> int | None:
        """The bytes of the summary, None if it is missing."""
        return self.sizes.get("summary")

    @property
    def files(self) -> dict[str, str]:
        """The names of the files by kind."""
        return {kind: KINDS[kind].format(self.day) for kind in KINDS if kind in self.sizes}


def days(folder: Path) -> list[Day]:
    """Return the days that have reports, the newest first."""
    return _listed(folder, "", KINDS)


def periods(folder: Path) -> dict[str, list[Day]]:
    """Return the years and months that have summaries, the newest first, by the folder that they are in."""
    return {kind: _listed(folder / kind, f"{kind}/", PERIOD_KINDS) for kind in ("years", "months")}


def _listed(folder: Path, prefix: str, kinds: dict[str, str]) -> list[Day]:
    sizes: dict[str, dict[str, int]] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            found = _NAMED.search(entry.name)
            if found and NAME.fullmatch(prefix + entry.name) and entry.is_file(follow_symlinks=False):
                kind = next((kind for kind in kinds if kinds[kind].format(found[1]) == entry.name), None)
                if kind:
                    sizes.setdefault(found[1], {})[kind] = entry.stat(follow_symlinks=False).st_size
    return [Day(day, sizes[day]) for day in sorted(sizes, reverse=True)]


def open_report(folder: Path, name: str) -> tuple[int, int] | None:
    """Return a descriptor of a report and its size; None for another name or if it is not a regular file."""
    if not NAME.fullmatch(name):
        return None
    inside, _, last = name.rpartition("/")
    try:
        parent = open_folder(folder, inside.encode())
        try:
            descriptor, status = open_regular(last.encode(), parent)
        finally:
            os.close(parent)
    except OSError:
        return None
    return descriptor, status.st_size


def media_type(name: str) -> str:
    """Return the media type of a report by its name."""
    return MEDIA_TYPES[Path(name).suffix]


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
