from __future__ import annotations

import csv
from pathlib import Path

from models.evaluation.report import tables


def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path: Path):
    tables.write_csv(tmp_path / "a.csv", [["name"], ["=1+1"], ["-x"], ["'@x"], ["a-b"], ["x;=1"], [-0.5]])
    with open(tmp_path / "a.csv", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == [
            "name",
            "'=1+1",
            "'-x",
            "''@x",
            "a-b",
            "x;'=1",
            "-0.5",
        ]


def test_names_that_are_not_utf8_are_written_as_escapes():
    assert tables.name_of(b"a\xff.jpg") == "a\\udcff.jpg"


def test_missing_values_are_empty_cells(tmp_path: Path):
    tables.write_csv(tmp_path / "a.csv", [[tables.rounded(v)] for v in (None, float("nan"), 0.12345678)])
    assert (tmp_path / "a.csv").read_text().split("\n") == ['""', '""', "0.123457", ""]


def test_a_terminal_acts_on_no_cell_and_a_row_is_a_line(tmp_path: Path):
    tables.write_csv(tmp_path / "a.csv", [["\x1b[2J\r\n\x9b\u202e\u200f.jpg", 1]])
    assert (tmp_path / "a.csv").read_text() == "\\x1b[2J\\r\\n\\x9b\\u202e\\u200f.jpg,1\n"
