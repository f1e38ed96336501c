from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

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
    monkeypatch.setattr(workbook, "MOST_ROWS", 8)
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
