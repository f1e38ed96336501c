from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest

from pipeline.cli.printing import output

AT = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
ROWS = [
    {"id": 2, "name": "a\nb.jpg", "confidence": 0.5, "at": AT, "scores": None},
    {"id": 10, "name": 'c,"d".jpg', "confidence": None, "at": None, "scores": {"cat": 1.0}},
]  # fmt: skip
COLUMNS = list(ROWS[0])


def test_a_table_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(ROWS, COLUMNS[:3])
    assert capsys.readouterr().out.splitlines() == [
        "id  name       confidence",
        r"2   a\nb.jpg   0.5000",
        '10  c,"d".jpg  -',
    ]


def test_an_empty_table_still_names_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table([], ["id", "name"])
    assert capsys.readouterr().out == "id  name\n"


def test_csv_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_csv(ROWS, COLUMNS)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["name"] for row in rows] == [r"a\x0ab.jpg", 'c,"d".jpg']
    assert rows[0]["at"] == "2026-01-02T03:04:05.000006Z"
    assert json.loads(rows[1]["scores"]) == {"cat": 1.0}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_is_an_array_of_rows(capsys: pytest.CaptureFixture[str], count: int) -> None:
    output.print_json_rows(ROWS[:count])
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS[:count]]


@pytest.mark.parametrize("show", [output.print_csv, output.print_table])
def test_a_terminal_acts_on_nothing(show: object, capsys: pytest.CaptureFixture[str]) -> None:
    name = "".join(map(chr, [*range(1, 32), *range(0x7F, 0xA0), 0x202E])) + ".jpg"
    row = {"name": name, "detail": f"{name} is bad", "scores": {name: 1.0}, "n": 1}
    show([row], list(row))  # type: ignore[operator]
    assert [line for line in capsys.readouterr().out.split("\n") if not line.isprintable()] == []


def test_a_formula_is_neutral_and_a_comma_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_csv([{"name": '=1+1,"2".jpg'}, {"name": "\t=1"}], ["name"])
    assert capsys.readouterr().out == 'name\n"\'=1+1,""2"".jpg"\n\\x09=1\n'
