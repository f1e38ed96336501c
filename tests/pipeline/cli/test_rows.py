"""Rows that commands print: as a table for people, as CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from db.queries.listing import RESULT_COLUMNS
from models.installation import install_command
from pipeline.classifier import classify_files
from pipeline.classifier.messages import ClassificationResult
from pipeline.office import packages
from tests.pipeline.cli.conftest import Run
from tests.support.installation import Installation

PIZZA = {"cat": 0.001, "dog": 0.0, "neither": 0.999}


@pytest.fixture
def answered(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands of an installation whose inbox has a photo of a pizza and an empty file."""
    (tmp_path / "inbox").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "inbox" / name).touch()
    results = [ClassificationResult(0, None, PIZZA), ClassificationResult(1, None, None, "empty")]
    monkeypatch.setattr(classify_files, "ProcessClassifier", lambda *_: SimpleNamespace(stop=lambda: None))
    monkeypatch.setattr(classify_files, "classify_files", lambda *_: results)
    return run


def rows_of(text: str, kind: str) -> list[dict[str, Any]]:
    return json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("words", [["classify", "inbox"], ["run", "--dry-run"]])
def test_a_table_says_the_number_of_the_word_that_it_shows_and_a_summary_follows(
    answered: Run, words: list[str]
) -> None:
    done = answered(*words)
    head, first, _ = done.out.splitlines()
    assert "shown  " in head and "shown_probability" in head
    assert "neither" in first and "0.9990" in first
    assert "0.0010" not in first
    assert done.err.splitlines()[-1] == "2 files: 1 failed, 1 uncertain"


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("words", [["classify", "inbox"], ["run", "--dry-run"]])
def test_rows_of_photos_that_are_not_filed_are_printed_for_programs(
    answered: Run, words: list[str], kind: str
) -> None:
    done = answered(*words, "--format", kind)
    pizza, empty = rows_of(done.out, kind)
    assert (pizza["outcome"], pizza["prediction"], pizza["shown"]) == ("uncertain", "cat", "neither")
    assert (float(pizza["confidence"]), float(pizza["shown_probability"])) == (0.001, 0.999)
    assert (empty["outcome"], empty["reason"]) == ("failed", "empty")
    assert ("destination" in pizza) is ("run" in words)
    assert ("2 files" in done.err) is (kind == "csv"), "the summary spoils no JSON that a shell merges"
    if kind == "json":
        assert answered(*words, "--json").out == done.out


@pytest.mark.parametrize("option", [["--json"], ["--format", "csv"]])
def test_rows_are_printed_only_by_a_dry_run(run: Run, option: list[str]) -> None:
    done = run("run", *option)
    assert done.code == 2 and "add --dry-run" in done.err


def test_query_says_the_number_of_the_word_that_it_shows(run: Run, pawsort: Installation) -> None:
    doubt = {"reason": "neither", "prediction": "cat", "confidence": 0.001, "scores": PIZZA}
    pawsort.file(b"pizza.jpg", b"1", "uncertain", **doubt)
    head, row = (line.split() for line in run("query").out.splitlines())
    assert head == ["id", "outcome", "shown", "shown_probability", "reason", "path"]
    assert row[1:5] == ["uncertain", "neither", "0.9990", "neither"]
    [found] = rows_of(run("query", "--format", "csv").out, "csv")
    assert list(found) == [*RESULT_COLUMNS, "shown", "shown_probability"], "new columns stand at the end"
    [found] = json.loads(run("query", "--json").out)
    assert (found["confidence"], found["shown_probability"]) == (0.001, 0.999)


def test_query_finds_by_folder_and_by_the_date_of_the_camera(run: Run, pawsort: Installation) -> None:
    pawsort.file(b"rome/a.jpg", b"1", taken_at="2024-01-31T10:15:00")
    pawsort.file(b"b.jpg", b"2", taken_at="2024-02-01T00:00:00")

    def names(*words: str) -> list[str]:
        return [row["name"] for row in json.loads(run("query", "--json", *words).out)]

    for folder in ("inbox/rome", "rome", "sorted/cats/rome", "cats/rome"):
        assert names("--folder", folder) == ["a.jpg"], folder
    assert names("--taken-since", "2024-02-01") == ["b.jpg"]
    assert names("--taken-until", "2024-02-01") == ["a.jpg"]
    assert names("--taken-since", "2024-01-31T10:16", "--folder", "rome") == []
    run("export", "out", "--folder", "rome")
    assert [path.name for path in (pawsort.settings.base / "out").rglob("*.jpg")] == ["a.jpg"]


@pytest.mark.parametrize("time", ["2024-01-31T10:15Z", "last year", "2024-02-30"])
def test_a_time_of_the_camera_is_one_without_an_offset(run: Run, time: str) -> None:
    done = run("query", "--taken-since", time)
    assert done.code == 2 and "by the camera's clock" in done.err and len(done.err.splitlines()) == 1


def test_query_without_openpyxl_says_what_to_install(
    run: Run, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    refused = run("query", "--xlsx", "rows.xlsx")
    assert refused.code == 2 and f"run `{install_command(extra='excel')}`" in refused.err
    assert len(refused.err.splitlines()) == 1 and not Path("rows.xlsx").exists()
    assert run("query", "--format", "csv").code == 0


def test_query_writes_a_workbook(run: Run, pawsort: Installation) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    pawsort.file("Möhre.jpg".encode(), b"1", taken_at="2024-01-31T10:15:00")
    pawsort.file(b"=1+1", b"2", "dogs")
    done = run("query", "--xlsx", "rows.xlsx")
    assert done.out == "2 rows written to rows.xlsx\n"
    header, *rows = openpyxl.load_workbook("rows.xlsx").active.iter_rows(values_only=True)
    found = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["name"] for row in found] == ["=1+1", "Möhre.jpg"]
    assert found[1]["taken_at"].isoformat() == "2024-01-31T10:15:00"
    assert header[-1] == "shown_probability"
    for words in (["--xlsx", "nowhere/rows.xlsx"], ["--xlsx", "x", "--json"]):
        refused = run("query", *words)
        assert refused.code == 2 and "--xlsx" in refused.err and "Traceback" not in refused.err
