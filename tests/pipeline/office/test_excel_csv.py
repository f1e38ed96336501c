from __future__ import annotations

import csv
import io
from typing import Any

import pandas as pd
import pytest

from pipeline.office.child import Office
from pipeline.office.messages import WriteTables, Written
from pipeline.reports.csv_cells import restored
from tests.pipeline.office.conftest import DAY, SHOWN, settings_of
from tests.support.installation import Installation

SEPARATORS = [("semicolon", ";", ","), ("comma", ",", "."), ("tab", "\t", ".")]


@pytest.mark.parametrize(("name", "separator", "decimal"), SEPARATORS)
def test_pandas_reads_the_csv_for_excel_with_its_types(
    office: Installation, name: str, separator: str, decimal: str
) -> None:
    folder = office.settings.reports
    made = Office(settings_of(office, "excel_csv", name)).answer(WriteTables(str(DAY), is_latest=True))
    paths = [folder / f"excel-{kind}-{DAY}.csv" for kind in ("summary", "images", "drift")]
    assert made == Written(tuple(paths))
    for path in paths:
        kind = path.name.split("-")[1]
        assert path.read_bytes() == (folder / f"latest-excel-{kind}.csv").read_bytes()
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    options: Any = {"sep": separator, "decimal": decimal, "keep_default_na": False, "na_values": [""]}
    images = pd.read_csv(paths[1], encoding="utf-8-sig", dtype={"name": str}, **options)
    names = images["name"].map(restored)
    assert names.tolist()[: len(SHOWN)] == SHOWN
    assert images["confidence"].dtype == "float64" and images["confidence"][0] == 0.5
    assert images["seen_at"][0].startswith("2026-11-21 13:00"), "local time"
    assert pd.to_datetime(images["seen_at"]).notna().all()
    summary = pd.read_csv(paths[0], encoding="utf-8-sig", **options)
    assert summary["images"].sum() == len(images) and summary["share"].dtype == "float64"


@pytest.mark.fault(35)
@pytest.mark.fault(96)
def test_no_cell_is_a_formula_and_lines_end_as_excel_ends_them(office: Installation) -> None:
    Office(settings_of(office, "excel_csv")).answer(WriteTables(str(DAY), is_latest=False))
    text = (office.settings.reports / f"excel-images-{DAY}.csv").read_bytes().decode("utf-8-sig")
    assert text.count("\n") == text.count("\r\n") == len(SHOWN) + 3
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r"))]
