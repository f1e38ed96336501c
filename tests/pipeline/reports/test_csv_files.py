from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.schema.file_names import escape, unescape
from pipeline.reports import csv_cells, csv_files
from pipeline.reports.csv_files import body, header, pieces_of

NAMES = [
    "plain.jpg",
    "=HYPERLINK(1).jpg",
    "+1.jpg",
    "-rf.jpg",
    "@a.jpg",
    "\uff1d1+1.jpg",
    "\uff20a.jpg",
    "x;=1+1.jpg",
    "x;-1;@a;+2;\uff1d3.jpg",
    "x;'=already.jpg",
    'x;"=1+1".jpg',
    '"=1.jpg',
    "x;y.jpg",
    "\ta.jpg",
    "\ra.jpg",
    "\na.jpg",
    "lone\rreturn.jpg",
    "two\r\nlines.jpg",
    'quo"te.jpg',
    "com,ma.jpg",
    "'=already.jpg",
    "'just quoted'.jpg",
    r"\xff.jpg",
    "\x1b[2J\u202e.jpg",
    "é\u2028\x85\x0b.jpg",
    "a\u200fb\u200e\u061c.jpg",
]


def read_back(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def taken_off(cell: str) -> str:
    return re.sub(r"(^|;)'(?=[\"']*[=+\-@\uff1d\uff0b\uff0d\uff20])", r"\1", cell)


def name_of(cell: str) -> str:
    """The name that a cell stands for, where names are escaped as in the database."""
    return unescape(taken_off(cell)).decode()


def escaped(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"name": pd.Series([escape(name.encode()) for name in names], dtype="str"), "n": 1})


@pytest.mark.fault(35, 96)
def test_each_name_is_one_record_and_no_cell_is_a_formula() -> None:
    records = read_back(body(escaped(NAMES)))
    assert [record[1] for record in records] == ["1"] * len(NAMES)
    assert not [
        record[0] for record in records if record[0].startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
    ]
    assert [name_of(record[0]) for record in records] == NAMES


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_separates_cells_for_a_spreadsheet(separator: str) -> None:
    for name in NAMES:
        line = body(
            pd.DataFrame({"n": [1], "name": pd.Series([escape(name.encode())], dtype="str")})
        ).decode()
        for cell in next(csv.reader([line], delimiter=separator)):
            assert not cell.strip('"').startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20")), (name, cell)


CONTROLS = [
    chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), 0x2028, 0x200F)
]


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_control_character_is_written_as_what_it_is_and_comes_back(control: str) -> None:
    names = [f"{control}a.jpg", f"a{control}.jpg", f"={control}"]
    content = body(escaped(names))
    assert control not in content.decode().replace("\n", "", 3)
    assert content.count(b"\n") == 3
    assert [name_of(record[0]) for record in read_back(content)] == names


def test_an_escaped_text_is_not_escaped_again() -> None:
    frame = pd.DataFrame({"name": pd.Series(["\x1b[2J"], dtype="str")})
    assert body(frame) == rb"\x1b[2J" + b"\n"
    assert body(pd.DataFrame({"name": pd.Series([body(frame).decode()[:-1]], dtype="str")})) == body(frame)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8))
def test_any_text_comes_back(text: str) -> None:
    [record] = read_back(body(escaped([text + "."])))
    assert name_of(record[0]) == text + "."


def test_numbers_moments_and_missing_values_have_one_form() -> None:
    frame = pd.DataFrame(
        {
            "whole": pd.Series([-5, None], dtype="Int64"),
            "real": pd.Series([-0.1, None], dtype="float64"),
            "moment": pd.Series([datetime(2026, 1, 2, tzinfo=UTC), None], dtype="datetime64[us, UTC]"),
            "truth": [True, False],
            "text": pd.Series([None, ""], dtype="str"),
        }
    )
    assert header(frame) == b"whole,real,moment,truth,text\n"
    assert body(frame) == b"-5,-0.100000,2026-01-02T00:00:00.000000Z,true,\n,,,false,\n"


def test_names_of_companions_and_scores_are_json_in_every_list() -> None:
    for value in (["a.xmp", "it's \\xff.MOV"], {"cat": 0.5}):
        assert json.loads(csv_cells.cell(value)) == value


def test_a_column_of_unknown_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="column odd"):
        body(pd.DataFrame({"odd": np.array([1 + 2j])}))


def test_a_file_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "_PIECE", 3)
    (tmp_path / "a").write_bytes(b"12345")
    assert list(pieces_of(tmp_path / "a")) == [b"123", b"45"]
