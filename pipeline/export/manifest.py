"""The list of the photos of an export: `manifest.csv`, which a second export into the same folder continues.

While an export runs, it appends a line for each photo. A line that replaces an earlier one of the same photo
follows it; `Manifest.close` writes the list anew, with the last line of each.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from db.queries.listing import RESULT_COLUMNS
from db.schema.file_names import escape, unescape
from pipeline.errors import SettingsError
from pipeline.files.replace_file import replace_file
from pipeline.reports.csv_cells import cell, restored

NAME = "manifest.csv"
COLUMNS = (*RESULT_COLUMNS, "exported_path", "label")

_LONGEST_LINE = 1 << 20

Key = tuple[str, str]
"""The id and the SHA-256 of a photo, as cells: another content of a row is another photo."""


@dataclass(frozen=True, slots=True)
class Known:
    """A photo that was exported before: its path relative to the folder of the export, and its label."""

    path: bytes
    label: str


class Manifest:
    """The list in `folder`, read and, with `add`, continued; one process at a time may have it open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._known: dict[Key, Known] = {}
        self.paths: set[bytes] = set()
        """The paths of all photos of the list, relative to `folder`."""
        self._cut_off_torn_line()
        self._compact()
        self._file = self._path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._compact()

    def known(self, row: Mapping[str, Any]) -> Known | None:
        """Return where the photo of a row of `results` was exported to, None if it was not."""
        return self._known.get(_key(row))

    def add(self, row: Mapping[str, Any], path: bytes, label: str) -> None:
        """Append the photo of a row, or replace what is known of it. Raises OSError."""
        before = self._known.get(_key(row))
        if before is not None:
            self.paths.discard(before.path)
        self._known[_key(row)] = Known(path, label)
        self.paths.add(path)
        values = {**row, "exported_path": escape(path), "label": label}
        self._writer.writerow([cell(values[column]) for column in COLUMNS])
        self._file.flush()

    def _cut_off_torn_line(self) -> None:
        """Remove what an export that was killed wrote of its last line."""
        if not self._path.exists():
            return
        with self._path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, end - _LONGEST_LINE))
            torn = len((b"\n" + file.read()).rpartition(b"\n")[2])
            file.truncate(max(start, end - torn))

    def _compact(self) -> None:
        last = {_key(line): number for number, line in enumerate(self._lines())}
        self._known = {}
        replace_file(self._path, self._pieces(last))
        self.paths = {known.path for known in self._known.values()}

    def _pieces(self, last: Mapping[Key, int]) -> Iterator[bytes]:
        yield _line(COLUMNS)
        for number, line in enumerate(self._lines()):
            if last[_key(line)] == number:
                self._known[_key(line)] = Known(
                    unescape(restored(line["exported_path"])), restored(line["label"])
                )
                yield _line([line.get(column) or "" for column in COLUMNS])

    def _lines(self) -> Iterator[dict[str, str]]:
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if not {"id", "sha256", "exported_path", "label"} <= set(lines.fieldnames or ()):
                raise SettingsError(f"{self._path}: is not the list of an export; name another folder")
            yield from lines


def _key(row: Mapping[str, Any]) -> Key:
    return str(row["id"]), row["sha256"] or ""


def _line(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
