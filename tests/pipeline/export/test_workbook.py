"""A workbook as Excel, openpyxl and pandas read it."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.export import workbook as workbooks
from pipeline.export.workbook import cell, workbook

openpyxl = pytest.importorskip("openpyxl")

ZONE = ZoneInfo("Europe/Berlin")
ROW: dict[str, Any] = {
    "id": 7,
    "name": "Möhre & <Söhne> 写真.jpg",
    "code": "007",
    "formula": '=HYPERLINK("http://x")',
    "confidence": 0.1234567890123,
    "nothing": None,
    "seen_at": datetime(2026, 7, 1, 22, 30, 15, tzinfo=UTC),
    "taken_at": "2024-01-31T10:15:00+09:00",
    "scores": {"Käse": 0.5},
    "control": "a\x01b_x0041_\udcff",
}


def read(data: bytes, **options: Any) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data), **options)


def values(sheet: Any) -> list[tuple[Any, ...]]:
    return list(sheet.iter_rows(values_only=True))


def test_values_keep_their_types_and_text_stays_text_whatever_it_looks_like() -> None:
    book = read(b"".join(workbook([ROW], list(ROW), ZONE)))
    header, row = values(book["results"])
    assert header == tuple(ROW)
    found = dict(zip(header, row, strict=True))
    assert (found["id"], found["confidence"], found["nothing"]) == (7, 0.1234567890123, None)
    assert (found["name"], found["code"]) == (ROW["name"], "007")
    assert found["formula"] == ROW["formula"] and book["results"]["D2"].data_type == "s"
    assert found["seen_at"] == datetime(2026, 7, 2, 0, 30, 15), "local time"
    assert found["taken_at"] == datetime(2024, 1, 31, 10, 15), "the clock of the camera"
    assert book["results"]["G2"].number_format.replace("\\", "") == "yyyy-mm-dd hh:mm:ss"
    assert found["scores"] == '{"Käse": 0.5}'
    assert found["control"] == r"a\x01b_x005F_x0041_\xed\xb3\xbf", "Excel reads _x005F_ as an underscore"
    assert (book["results"].freeze_panes, book["results"].auto_filter.ref) == ("A2", "A1:J2")


def test_what_a_spreadsheet_has_no_number_or_date_for_is_text_or_empty() -> None:
    assert "inlineStr" in cell(datetime(1850, 1, 1, tzinfo=UTC), ZONE)
    assert "1152921504606846976" in cell(2**60, ZONE) and "inlineStr" in cell(2**60, ZONE)
    assert "nan" in cell(float("nan"), ZONE) and "inlineStr" in cell(float("nan"), ZONE)
    assert "inlineStr" in cell("2024-13-99T10:15:00", ZONE, "taken_at")
    assert len(cell("x" * 40_000, ZONE)) < 33_000, "Excel repairs a file with longer cells"


@pytest.mark.parametrize(("limit", "value"), [("MOST_ROWS", 2), ("SHEET_BYTES", 1_000)])
def test_rows_beyond_a_sheet_go_to_further_ones(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(workbooks, limit, value)
    book = read(b"".join(workbook([ROW | {"id": n} for n in range(5)], list(ROW), ZONE, "photos")))
    ids = [row[0] for sheet in book for row in values(sheet)[1:]]
    assert ids == list(range(5)) and len(book.sheetnames) > 1
    assert book.sheetnames[:2] == ["photos", "photos 2"]
    assert {values(sheet)[0] for sheet in book} == {tuple(ROW)}


def test_without_rows_there_is_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    assert values(read(b"".join(workbook([], ["a", "b"], ZONE)))["results"]) == [("a", "b")]


def test_a_workbook_is_handed_out_while_its_rows_are_read() -> None:
    read_rows = 0

    def rows() -> Any:
        nonlocal read_rows
        for read_rows in range(1, 30_001):
            yield {"id": read_rows, "sha": f"{read_rows**9:x}"}

    pieces = workbook(rows(), ["id", "sha"], ZONE)
    first = next(pieces)
    assert 0 < read_rows < 30_000
    data = first + b"".join(pieces)
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert parts.testzip() is None
        # Excel refuses workbooks whose parts use ZIP64.
        assert all(part.extract_version < 45 for part in parts.infolist())
