"""Values of cells, without a library for spreadsheets."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.office.excel_values import LONGEST_TEXT, camera_time, excel_text, excel_value

ZONE = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, 7),
        (True, True),
        (0.1234567890123, 0.1234567890123),
        (None, None),
        (2**60, "1152921504606846976"),
        (float("nan"), "nan"),
        ({"Käse": 0.5}, '{"Käse": 0.5}'),
        (["a"], '["a"]'),
        (datetime(2026, 7, 1, 22, 30, 15, tzinfo=UTC), datetime(2026, 7, 2, 0, 30, 15)),
        (datetime(1850, 1, 1), "1850-01-01T00:00:00"),
        (date(1899, 12, 31), "1899-12-31"),
        (date(1900, 1, 1), date(1900, 1, 1)),
    ],
)
def test_what_a_spreadsheet_has_no_number_or_date_for_is_text(value: Any, shown: Any) -> None:
    assert excel_value(value, ZONE) == shown and type(excel_value(value, ZONE)) is type(shown)


def test_texts_have_no_character_that_xml_forbids_and_nothing_that_excel_reads_as_another() -> None:
    assert excel_text("a\x01b_x0041_\udcff\ufffe") == "a\\x01b_x005F_x0041_\\xed\\xb3\\xbf\ufffd"
    assert len(excel_text("x" * 40_000)) == LONGEST_TEXT, "Excel repairs a file with longer cells"


def test_a_time_of_the_camera_keeps_its_clock_and_what_is_none_stays_as_it_is() -> None:
    assert camera_time("2024-01-31T10:15:00+09:00") == datetime(2024, 1, 31, 10, 15)
    for other in ("2024-13-99T10:15:00", "2024", None, 5):
        assert camera_time(other) == other
