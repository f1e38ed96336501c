"""Write rows as an Excel workbook (XLSX) piece by piece: 200,000 rows take seconds and little memory.

Numbers are numbers, times are dates, and all else is text, which a spreadsheet never runs as a formula and in
which `007` keeps its zeros. A sheet has a frozen header with filters; further rows go to further sheets.
Source: ECMA-376, part 1, section 18 (SpreadsheetML), and part 2 (packages).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from itertools import chain, islice
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pipeline.export.zip_stream import Member, zipped
from pipeline.reports.csv_cells import visible

MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

MOST_ROWS = 1_048_575
"""Rows of a sheet besides its header."""

LONGEST = 32_767
"""Characters of a cell."""

_EXACT = 2**53
"""Larger integers are no exact numbers in a spreadsheet, so they are text."""

SHEET_BYTES = 1_500_000_000
"""A longer sheet would need ZIP64, which Excel refuses in workbooks."""

_EPOCH = datetime(1899, 12, 30)
_FIRST_YEAR = 1900
_TAKEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LIKE_ESCAPED = re.compile(r"_(?=x[0-9a-fA-F]{4}_)")
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def workbook(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], zone: tzinfo, title: str = "results"
) -> Iterator[bytes]:
    """Yield the bytes of a workbook of `rows`, cells in the order of `columns`.

    Aware times are shown in `zone`, because a spreadsheet knows no zones; texts of the column
    `taken_at`, such as 2024-01-31T10:15:00, keep the clock of the camera.
    """
    yield from zipped(_parts(rows, columns, zone, title))


def _parts(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], zone: tzinfo, title: str
) -> Iterator[Member]:
    remaining, count, more = iter(rows), 0, True
    while more:
        count += 1
        yield _member(f"xl/worksheets/sheet{count}.xml", _sheet(remaining, columns, zone))
        first = next(remaining, None)
        more = first is not None
        remaining = remaining if first is None else chain([first], remaining)
    names = [title if number == 1 else f"{title} {number}" for number in range(1, count + 1)]
    for name, text in _frame(names).items():
        yield _member(name, [(_HEAD + text).encode()])


def _member(name: str, pieces: Iterable[bytes]) -> Member:
    return Member(name, pieces, 0, compressed=True)


def _sheet(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], zone: tzinfo) -> Iterator[bytes]:
    widths = "".join(
        f'<col min="{n}" max="{n}" width="{_width(name)}" customWidth="1"/>'
        for n, name in enumerate(columns, 1)
    )
    head = "".join(_text(name, 2) for name in columns)
    yield (
        f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f"<cols>{widths}</cols><sheetData><row>{head}</row>"
    ).encode()
    count = written = 0
    for row in islice(rows, MOST_ROWS):
        count += 1
        line = f"<row>{''.join(cell(row[name], zone, name) for name in columns)}</row>".encode()
        written += len(line)
        yield line
        if written >= SHEET_BYTES:
            break
    last = f"{_letters(len(columns))}{count + 1}"
    yield f'</sheetData><autoFilter ref="A1:{last}"/></worksheet>'.encode()


def cell(value: Any, zone: tzinfo, column: str = "") -> str:
    """Return the XML of the cell of a value of `results`; an aware time is shown in `zone`."""
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime):
        return _time(value.astimezone(zone).replace(tzinfo=None), value.isoformat())
    if isinstance(value, int) and abs(value) <= _EXACT:
        return f"<c><v>{value}</v></c>"
    if isinstance(value, float) and math.isfinite(value):
        return f"<c><v>{value!r}</v></c>"
    if column == "taken_at" and isinstance(value, str) and (found := _clock(value)) is not None:
        return _time(found, value)
    if value is None:
        return "<c/>"
    return _text(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))


def _time(moment: datetime, text: str) -> str:
    if moment.year < _FIRST_YEAR:  # a spreadsheet has no earlier dates
        return _text(text)
    days = (moment - _EPOCH).total_seconds() / 86_400
    return f'<c s="1"><v>{days:.9f}</v></c>'


def _clock(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None) if _TAKEN.match(text) else None
    except ValueError:
        return None


def _text(text: str, style: int = 0) -> str:
    """Return a cell that is text whatever it looks like."""
    written = text if text.isprintable() else _NO_XML.sub("\ufffd", visible(text))
    written = written[:LONGEST]
    if "_x" in written:  # `_x0041_` would be read as `A`: ECMA-376, part 1, section 22.9.2.19
        written = _LIKE_ESCAPED.sub("_x005F_", written)
    of = f' s="{style}"' if style else ""
    return f'<c{of} t="inlineStr"><is><t xml:space="preserve">{escape(written)}</t></is></c>'


def _width(column: str) -> int:
    """Return the width of a column in characters."""
    if column.endswith("path"):
        return 48
    return 20 if column.endswith("_at") else max(11, len(column) + 4)


def _letters(number: int) -> str:
    """Return the name of the column `number`, from 1: A ... Z, AA ..."""
    found = ""
    while number:
        number, rest = divmod(number - 1, 26)
        found = chr(ord("A") + rest) + found
    return found


def _frame(names: Sequence[str]) -> dict[str, str]:
    """Return the parts of a workbook besides its sheets, by name."""
    numbers = range(1, len(names) + 1)
    sheets = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(names, 1)
    )
    links = "".join(_link(f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in numbers)
    kinds = "".join(_kind(f"/xl/worksheets/sheet{n}.xml", "worksheet") for n in numbers)
    return {
        "xl/workbook.xml": (
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": _links(links + _link("styles", "styles", "styles.xml")),
        "xl/styles.xml": _STYLES,
        "_rels/.rels": _links(_link("rId1", "officeDocument", "xl/workbook.xml")),
        "[Content_Types].xml": (
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f"{_kind('/xl/workbook.xml', 'sheet.main')}{_kind('/xl/styles.xml', 'styles')}{kinds}</Types>"
        ),
    }


def _kind(part: str, kind: str) -> str:
    mime = f"application/vnd.openxmlformats-officedocument.spreadsheetml.{kind}+xml"
    return f'<Override PartName="{part}" ContentType="{mime}"/>'


def _link(id: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{id}" Type="{_OFFICE}/{kind}" Target="{target}"/>'


def _links(links: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'


_STYLES = (
    f'<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm:ss"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="3"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)
"""Styles of cells: 0 plain, 1 a time, 2 a header."""
