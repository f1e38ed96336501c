"""Write reports as an Excel workbook: a sheet for each, with typed cells.

openpyxl takes a text that begins with `=` for a formula, and `#N/A` for an error, and Excel converts a text
that it edits. So each text cell says that it is one, and has the format of text.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter

from pipeline.files.replace_file import replace_file
from pipeline.office.scratch import scratch_in
from pipeline.office.tables import Kind, header_of, kinds_of, rows_of

MOST_ROWS = 1_048_576
"""Rows of a sheet, the header included; Excel's own limit."""

LONGEST_TEXT = 32_767
"""Characters of a cell; Excel's own limit."""

_WIDTHS: dict[Kind, int] = {
    "text": 24, "integer": 12, "real": 12, "boolean": 12, "moment": 20, "taken": 20, "date": 12,
}  # fmt: skip
_WIDER = {"inbox": 32, "source_path": 48, "path": 48, "scores": 36, "sha256": 36, "sentence": 90, "name": 32}

_NO_XML = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
_LOOKS_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_PIECE = 1 << 20


def write_workbook(
    path: Path,
    tables: Sequence[tuple[str, Path]],
    zone: ZoneInfo,
    note: str,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Write `tables`, each the title of its sheet and a CSV file, as sheets of a workbook.

    A table with more rows than a sheet holds goes on in others, such as "Images 2". The last sheet, "About",
    has the `note`, the time zone, and the numbers of rows. `alive` is called for each row.

    Raises OSError, and ValueError for a CSV file that is no report.
    """
    with scratch_in(path.parent):
        book = Workbook(write_only=True)
        try:
            _fill(book, tables, zone, note, alive)
            with tempfile.TemporaryFile() as file:
                book.save(file)
                file.seek(0)
                replace_file(path, iter(lambda: file.read(_PIECE), b""))
        except BaseException:
            _discard(book)
            raise


def _discard(book: Workbook) -> None:
    """End the sheets of a workbook that is not saved: a half written one would only warn of itself."""
    for sheet in book.worksheets:
        if not sheet.closed:
            sheet.close()


def _fill(
    book: Workbook,
    tables: Sequence[tuple[str, Path]],
    zone: ZoneInfo,
    note: str,
    alive: Callable[[], None],
) -> None:
    about: list[tuple[str, str | int]] = [("About", note), ("Times are of", zone.key)]
    for title, csv in tables:
        about += [(f"Rows in {name}", rows) for name, rows in _add(book, title, csv, zone, alive)]
    sheet = book.create_sheet("About")
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 24, 90
    for row in about:
        sheet.append([_text(sheet, row[0]), row[1] if isinstance(row[1], int) else _text(sheet, row[1])])


def _add(
    book: Workbook, title: str, csv: Path, zone: ZoneInfo, alive: Callable[[], None]
) -> list[tuple[str, int]]:
    """Add the sheets of a table; return the title of each and its number of rows."""
    kinds = kinds_of(header_of(csv))
    made: list[tuple[str, int]] = []
    for rows in _sheets(csv, zone):
        name = f"{title} {len(made) + 1}" if made else title
        sheet = _begin(book, name, kinds)
        columns = [_Column(sheet) for _ in kinds]
        count = 0
        for row in rows:
            alive()
            sheet.append([column.cell(value) for column, value in zip(columns, row, strict=True)])
            count += 1
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(kinds))}{count + 1}"
        made.append((name, count))
    return made


def _sheets(csv: Path, zone: ZoneInfo) -> Iterator[Iterator[list[Any]]]:
    """Yield the rows of each sheet; of an empty table one without rows. Each must be read to its end."""
    rows = (row for part in rows_of(csv, zone) for row in part)
    following = next(rows, None)
    is_first = True

    def of_one() -> Iterator[list[Any]]:
        nonlocal following
        for _ in range(MOST_ROWS - 1):
            if following is None:
                return
            yield following
            following = next(rows, None)

    while is_first or following is not None:
        is_first = False
        yield of_one()


def _begin(book: Workbook, title: str, kinds: dict[str, Kind]) -> Any:
    """Return a sheet with its header, which stays in sight, and the widths of its columns."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for number, (name, kind) in enumerate(kinds.items(), start=1):
        width = max(_WIDER.get(name, _WIDTHS[kind]), len(name) + 4)
        sheet.column_dimensions[get_column_letter(number)].width = width
    header = [_text(sheet, name) for name in kinds]
    for cell in header:
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="EEE9E1")
    sheet.append(header)
    return sheet


class _Column:
    """The cells of a column, one for each type, used again in each row: styling them is slow."""

    def __init__(self, sheet: Any) -> None:
        self._text = _text(sheet, "")
        self._moment, self._date = WriteOnlyCell(sheet), WriteOnlyCell(sheet)
        self._moment.number_format, self._date.number_format = "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"

    def cell(self, value: Any) -> Any:
        """Return what is to be appended before the next call: a cell, a number, a boolean or None."""
        if isinstance(value, str):
            self._text.value = excel_text(value)
            self._text.data_type = "s"  # after the value, from which openpyxl guesses a type
            return self._text
        if isinstance(value, date):
            cell = self._moment if isinstance(value, datetime) else self._date
            cell.value = value
            return cell
        return value


def _text(sheet: Any, text: str) -> Any:
    cell = WriteOnlyCell(sheet)
    cell.value = excel_text(text)
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def excel_text(text: str) -> str:
    """Return a text as a workbook can have it: what XML forbids is replaced, and Excel's escapes escaped.

    Excel reads `_x0041_` as A. A text that is too long is cut.
    """
    return _LOOKS_ESCAPED.sub("_x005F_", _NO_XML.sub("\ufffd", text))[:LONGEST_TEXT]
