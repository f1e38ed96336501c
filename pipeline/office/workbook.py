"""Write Excel workbooks with openpyxl: one set of rules for the cells of reports and of lists.

Numbers are numbers, times are dates, and all else is text, which a spreadsheet never runs as a formula and in
which `007` keeps its zeros. Each sheet has a header that stays in sight, with filters.

openpyxl takes a text that begins with `=` for a formula, and `#N/A` for an error, and Excel converts a text
that it edits. So each text cell says that it is one, and has the format of text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, tzinfo
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter

from pipeline.files.replace_file import replace_file
from pipeline.office.excel_values import camera_time, excel_text, excel_value
from pipeline.office.scratch import openpyxl_files_in, scratch_in

SHEET_ROWS = 500_000
"""Rows of a sheet besides its header. Excel's limit is 1,048,575, but refuses sheets of 2 GB, which need
ZIP64; a row of `results` takes 2 kB."""

_WIDTHS = {"inbox": 32, "name": 32, "scores": 36, "sha256": 36, "sentence": 90}

_PIECE = 1 << 20


class WorkbookWriter:
    """Adds tables to a workbook, row by row; `alive` is called for each row, and may raise to end it."""

    def __init__(self, scratch: Path, zone: tzinfo, alive: Callable[[], None]) -> None:
        self._scratch, self._zone, self._alive = scratch, zone, alive
        self._book = Workbook(write_only=True)

    def add(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, int]:
        """Add a table, whose rows have a value for each column; return the number of rows of each sheet.

        More rows than a sheet holds go on in others, such as "Images 2". Raises OSError, and as `rows`.
        """
        made: dict[str, int] = {}
        for part in _parts(rows):
            name = f"{title} {len(made) + 1}" if made else title
            made[name] = self._add_sheet(name, columns, part)
        return made

    def save(self, file: IO[bytes]) -> None:
        """Write the workbook to an empty file, and go to its start. Raises OSError."""
        self._book.save(file)
        file.seek(0)

    def discard(self) -> None:
        """End the sheets of a workbook that is not saved: a half written one would only warn of itself."""
        for sheet in self._book.worksheets:
            if not sheet.closed:
                sheet.close()

    def _add_sheet(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        sheet = _begin(self._book, name, columns, self._scratch)
        cells = [_Column(sheet, column, self._zone) for column in columns]
        count = 0
        for row in rows:
            self._alive()
            sheet.append([column.cell(value) for column, value in zip(cells, row, strict=True)])
            count += 1
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{count + 1}"
        return count


@contextmanager
def workbook_in(
    folder: Path, zone: tzinfo, alive: Callable[[], None] = lambda: None
) -> Iterator[WorkbookWriter]:
    """Give a new workbook whose temporary files lie in a folder in `folder` until the end. Raises OSError.

    Aware times are shown in `zone`, because a spreadsheet knows no zones.
    """
    with scratch_in(folder) as scratch:
        writer = WorkbookWriter(scratch, zone, alive)
        try:
            yield writer
        finally:
            writer.discard()


@contextmanager
def workbook_at(
    path: Path, zone: tzinfo, alive: Callable[[], None] = lambda: None
) -> Iterator[WorkbookWriter]:
    """Give a new workbook, which in the end replaces the file `path` as a whole. Raises OSError."""
    with workbook_in(path.parent, zone, alive) as writer, tempfile.TemporaryFile(dir=path.parent) as file:
        yield writer
        writer.save(file)
        replace_file(path, iter(lambda: file.read(_PIECE), b""))


def dicts_as_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[list[Any]]:
    """Yield the values of each row in the order of `columns`."""
    return ([row[column] for column in columns] for row in rows)


def _parts(rows: Iterable[Sequence[Any]]) -> Iterator[Iterator[Sequence[Any]]]:
    """Yield the rows of each sheet; of an empty table one without rows. Each must be read to its end."""
    remaining = iter(rows)
    yield islice(remaining, SHEET_ROWS)
    for first in remaining:
        yield chain([first], islice(remaining, SHEET_ROWS - 1))


def _begin(book: Workbook, title: str, columns: Sequence[str], scratch: Path) -> Any:
    """Return a sheet with its header, which stays in sight, and the widths of its columns."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for number, name in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = _width(name)
    header = [_text_cell(sheet, name) for name in columns]
    for cell in header:
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="EEE9E1")
    with openpyxl_files_in(scratch):  # it makes the file of the sheet with the first row
        sheet.append(header)
    return sheet


def _width(column: str) -> int:
    """Return the width of a column in characters."""
    usual = 48 if column.endswith("path") else 20 if column.endswith("_at") else 14
    return max(_WIDTHS.get(column, usual), len(column) + 4)


class _Column:
    """The cells of a column, one for each type, used again in each row: styling them is slow."""

    def __init__(self, sheet: Any, name: str, zone: tzinfo) -> None:
        self._is_taken, self._zone = name == "taken_at", zone
        self._text = _text_cell(sheet, "")
        self._moment, self._date = WriteOnlyCell(sheet), WriteOnlyCell(sheet)
        self._moment.number_format, self._date.number_format = "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"

    def cell(self, value: Any) -> Any:
        """Return what is to be appended before the next call: a cell, a number, a boolean or None."""
        value = excel_value(camera_time(value) if self._is_taken else value, self._zone)
        if isinstance(value, str):
            self._text.value = value
            self._text.data_type = "s"  # after the value, from which openpyxl guesses a type
            return self._text
        if isinstance(value, date):
            cell = self._moment if isinstance(value, datetime) else self._date
            cell.value = value
            return cell
        return value


def _text_cell(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet)
    cell.value = excel_text(text)
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
