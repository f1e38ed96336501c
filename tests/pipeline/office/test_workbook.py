from __future__ import annotations

import os
import tempfile
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook

from pipeline.office import scratch, workbook
from pipeline.office.child import Office
from pipeline.office.messages import WriteTables, Written
from tests.pipeline.office.conftest import DAY, SHOWN, settings_of
from tests.support.installation import Installation


@pytest.fixture
def book(office: Installation) -> Any:
    """The workbook of the day as openpyxl reads it."""
    made = Office(settings_of(office, "excel")).answer(WriteTables(str(DAY), is_latest=True))
    path = office.settings.reports / f"report-{DAY}.xlsx"
    assert made == Written((path,))
    assert (office.settings.reports / "latest-report.xlsx").read_bytes() == path.read_bytes()
    return load_workbook(path)


def test_a_row_of_results_keeps_its_types_and_its_text_whatever_it_looks_like(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "id": 7,
        "name": "Möhre & <Söhne> 写真.jpg",
        "code": "007",
        "formula": '=HYPERLINK("http://x")',
        "error": "#N/A",
        "nothing": None,
        "seen_at": datetime(2026, 7, 1, 22, 30, 15, tzinfo=UTC),
        "taken_at": "2024-01-31T10:15:00+09:00",
        "scores": {"Käse": 0.5},
    }
    with workbook.workbook_at(tmp_path / "rows.xlsx", ZoneInfo("Europe/Berlin")) as book:
        made = book.add("results", list(row), workbook.dicts_as_rows([row], list(row)))
    assert made == {"results": 1} and os.listdir(tmp_path) == ["rows.xlsx"]
    sheet = load_workbook(tmp_path / "rows.xlsx")["results"]
    header, values = sheet.iter_rows(values_only=True)
    assert header == tuple(row)
    found = dict(zip(header, values, strict=True))
    times = {"seen_at": datetime(2026, 7, 2, 0, 30, 15), "taken_at": datetime(2024, 1, 31, 10, 15)}
    assert found == row | times | {"scores": '{"Käse": 0.5}'}, "local times, and the clock of the camera"
    assert [cell.data_type for cell in sheet[2]] == list("nssssndds")
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:I2")
    with zipfile.ZipFile(tmp_path / "rows.xlsx") as parts:
        assert all(part.extract_version < 45 for part in parts.infolist()), "Excel refuses ZIP64"


def test_a_table_without_rows_has_a_header_and_one_of_full_sheets_has_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "SHEET_ROWS", 2)
    with workbook.workbook_at(tmp_path / "rows.xlsx", ZoneInfo("UTC")) as book:
        assert book.add("none", ["a", "b"], []) == {"none": 0}
        assert book.add("four", ["a"], [[n] for n in range(4)]) == {"four": 2, "four 2": 2}
    found = load_workbook(tmp_path / "rows.xlsx")
    assert [list(sheet.values) for sheet in found] == [
        [("a", "b")],
        [("a",), (0,), (1,)],
        [("a",), (2,), (3,)],
    ]


def test_workbooks_that_are_written_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    zone, before = ZoneInfo("UTC"), tempfile.tempdir
    with workbook.workbook_at(tmp_path / "a.xlsx", zone) as first:
        first.add("rows", ["a"], [[1]])
        with workbook.workbook_at(tmp_path / "b.xlsx", zone) as second:
            second.add("rows", ["a"], [[2]])
        assert tempfile.tempdir == before, "other programs of the process have no files there"
    assert [load_workbook(tmp_path / name).active["A2"].value for name in ("a.xlsx", "b.xlsx")] == [1, 2]


def column(sheet: Any, name: str) -> list[Any]:
    head, *rows = sheet.iter_rows()
    place = [cell.value for cell in head].index(name)
    return [row[place] for row in rows]


@pytest.mark.fault(35)
@pytest.mark.fault(96)
def test_each_name_is_a_text_cell_whatever_it_looks_like(book: Any) -> None:
    cells = column(book["Images"], "name")[: len(SHOWN)]
    assert [cell.data_type for cell in cells] == ["s"] * len(SHOWN)
    assert {cell.number_format for cell in cells} == {"@"}
    wanted = [name.replace("\ufffe", "\ufffd").replace("_x0041_", "_x005F_x0041_") for name in SHOWN]
    assert [cell.value for cell in cells] == wanted


def test_numbers_are_numbers_and_times_are_local_dates(book: Any) -> None:
    images, summary = book["Images"], book["Summary"]
    assert [cell.value for cell in column(images, "id")] == list(range(1, len(SHOWN) + 3))
    assert column(images, "confidence")[0].value == 0.5
    seen = column(images, "seen_at")[0]
    assert isinstance(seen.value, datetime) and (seen.value.day, seen.value.hour) == (21, 13), "noon is UTC"
    assert seen.is_date and seen.number_format == "yyyy-mm-dd hh:mm:ss"
    assert column(images, "taken_at")[-1].value == datetime(2026, 11, 20, 8, 30)
    assert column(images, "reviewed_at")[0].value is None
    assert {cell.value.date() for cell in column(summary, "day")} == {date(2026, 11, 21)}
    assert [cell.value for cell in column(summary, "images")] == [1, 0, len(SHOWN), 1, 0]
    assert {cell.value for cell in column(summary, "reconciles")} == {True}
    assert all(isinstance(cell.value, float) for cell in column(summary, "share")[:1])


def test_each_report_has_a_sheet_with_a_header_that_stays_and_filters(book: Any) -> None:
    assert book.sheetnames == ["Summary", "Images", "Drift", "About"]
    for name in book.sheetnames[:3]:
        sheet = book[name]
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert sheet["A1"].font.bold and sheet.column_dimensions["B"].width >= 12
    about = {row[0]: row[1] for row in book["About"].iter_rows(values_only=True)}
    assert about["Times are of"] == "Europe/Berlin"
    assert about["Rows in Images"] == len(SHOWN) + 2


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(
    office: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "SHEET_ROWS", 7)
    Office(settings_of(office, "excel")).answer(WriteTables(str(DAY), is_latest=False))
    book = load_workbook(office.settings.reports / f"report-{DAY}.xlsx")
    parts = [name for name in book.sheetnames if name.startswith("Images")]
    assert parts == ["Images", "Images 2", "Images 3"]
    assert [book[name].max_row for name in parts] == [8, 8, 7]
    ids = [cell.value for name in parts for cell in column(book[name], "id")]
    assert ids == list(range(1, len(SHOWN) + 3))
    about = dict(book["About"].iter_rows(values_only=True))
    assert [about[f"Rows in {name}"] for name in parts] == [7, 7, 6]
    assert not (office.settings.reports / "latest-report.xlsx").exists()


@pytest.mark.parametrize("name", ["2026-11", "2026"])
def test_a_month_and_a_year_have_a_workbook_of_their_summary(office: Installation, name: str) -> None:
    folder = office.settings.reports / ("months" if "-" in name else "years")
    folder.mkdir()
    daily = (office.settings.reports / f"summary-{DAY}.csv").read_text()
    (folder / f"summary-{name}.csv").write_text(daily.replace(str(DAY), name))
    path = folder / f"report-{name}.xlsx"
    assert Office(settings_of(office, "excel")).answer(WriteTables(name, False)) == Written((path,))
    book = load_workbook(path)
    assert book.sheetnames == ["Summary", "About"]
    assert {str(cell.value) for cell in column(book["Summary"], "day")} == {name}


def test_a_damaged_csv_file_is_a_problem_and_no_traceback(office: Installation) -> None:
    (office.settings.reports / f"images-{DAY}.csv").write_text("id,seen_at\n1,yesterday\n")
    before = sorted(office.settings.reports.iterdir())
    made = Office(settings_of(office, "excel")).answer(WriteTables(str(DAY), is_latest=False))
    assert isinstance(made, Written) and made.problem and f"{DAY}: unexpected content" in made.problem
    assert sorted(office.settings.reports.iterdir()) == before


def test_what_a_killed_process_left_is_removed(office: Installation) -> None:
    left = office.settings.reports / f"{scratch.PREFIX}1"
    left.mkdir()
    (left / "openpyxl.x").write_bytes(b"half a sheet")
    Office(settings_of(office, "excel")).answer(WriteTables(str(DAY), is_latest=False))
    assert [path for path in office.settings.reports.iterdir() if path.name.startswith(".")] == []


def test_a_file_that_cannot_be_replaced_is_tried_again(office: Installation) -> None:
    Path(office.settings.reports / f"report-{DAY}.xlsx").mkdir()
    made = Office(settings_of(office, "excel")).answer(WriteTables(str(DAY), is_latest=False))
    assert isinstance(made, Written) and made.failed
