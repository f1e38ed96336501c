"""Write a report as CSV that Excel and LibreOffice open right by a double click.

With a byte order mark, so that umlauts are right, the chosen separator, local times, and CRLF.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.files.replace_file import replace_file
from pipeline.office.tables import header_of, rows_of
from pipeline.reports.csv_cells import neutral
from pipeline.reports.csv_files import DECIMALS
from pipeline.settings.sections import Separator

CHARACTERS: dict[Separator, str] = {"comma": ",", "semicolon": ";", "tab": "\t"}


def write_excel_csv(
    path: Path,
    table: Path,
    zone: ZoneInfo,
    separator: Separator,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Write the report `table` to `path`, calling `alive` between rows.

    Raises OSError, and ValueError for a file that is no report.

    Numbers have a decimal comma with the separator semicolon: countries that separate by semicolons do so
    because of their commas.
    """
    replace_file(path, _pieces(table, zone, separator, alive))


def _pieces(table: Path, zone: ZoneInfo, separator: Separator, alive: Callable[[], None]) -> Iterator[bytes]:
    yield b"\xef\xbb\xbf" + _lines([list(header_of(table))], separator)
    for rows in rows_of(table, zone):
        alive()
        yield _lines([[_cell(value, separator) for value in row] for row in rows], separator)


def _lines(rows: list[list[str]], separator: Separator) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=CHARACTERS[separator], lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def _cell(value: Any, separator: Separator) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        number = f"{value:.{DECIMALS}f}"
        return number.replace(".", ",") if separator == "semicolon" else number
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return neutral(value) if isinstance(value, str) else str(value)
