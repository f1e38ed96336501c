"""Every example in the documentation works."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from db.connection.engine import open_database
from db.ledger.ledger import FileDecision, Ledger, SettledFile
from pipeline.office.child import Office
from pipeline.office.messages import OfficeSettings, WriteTables
from pipeline.reports.daily import Reporter
from pipeline.settings import config
from pipeline.settings.sections import ReportSettings
from tests.docs.pages import COMMANDS, ROOT, Block, blocks, read

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reports and a small database, in which each documented query finds something."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "state").mkdir()
    engine = open_database(f"sqlite:///{folder}/state/pawsort.db")
    ledger = Ledger(engine, os.fsencode(folder / "state/spool"))
    cat, dog = {"cat": 0.99, "dog": 0.01}, {"cat": 0.3, "dog": 0.7}
    _deliver(ledger, b"whiskers.jpg", "cats", "cat", cat)
    _deliver(ledger, b"copy.jpg", "cats", "cat", cat, duplicate_of=1)
    rex = _deliver(ledger, b"rex.jpg", "uncertain", "cat", dog, reason="low_confidence")
    _deliver(ledger, b"=1.jpg", "uncertain", "dog", dog, reason="neither")
    for name in (b"NA", b"007", b"null"):
        _deliver(ledger, name, "dogs", "dog", dog)
    _deliver(ledger, b"notes.txt", "failed", None, None, reason="not_an_image", detail="begins with b'buy'")
    move = ledger.begin_move(rex, "correct", b"/sorted/dogs/rex.jpg", "dogs", "dog", "ann", NOON, None)
    ledger.finish_move(move.id, NOON, None)
    ledger.claim([_claim(b"late.jpg", 99)], NOON)
    reporter = Reporter(
        engine, folder / "reports", ZoneInfo("UTC"), time(0, 10), ("cats", "dogs", "uncertain", "failed"),
        folder / "state",
    )  # fmt: skip
    day, later = date(2026, 11, 21), NOON + timedelta(days=60)
    reporter.write_day(day, later)
    reporter.write_periods(day, day, later)
    for kind in ("excel", "excel_csv"):
        report = ReportSettings.model_validate({"format": kind})
        office = Office(OfficeSettings(folder / "reports", report, (), "umask"))
        assert office.answer(WriteTables(str(day), is_latest=True)).paths
    engine.dispose()
    return folder


def _claim(name: bytes, ino: int) -> SettledFile:
    return SettledFile("/inbox", name, dev=1, ino=ino, bytes=1_000_000, mtime_ns=1, seen_at=NOON)


def _deliver(
    ledger: Ledger,
    name: bytes,
    outcome: str,
    prediction: str | None,
    scores: dict[str, float] | None,
    **more: Any,
) -> int:
    """Take a file all the way; return its id."""
    [ticket] = ledger.claim([_claim(name, len(name))], NOON)
    values: dict[str, Any] = dict.fromkeys(FileDecision._fields)
    values |= {"id": ticket.id, "outcome": outcome, "prediction": prediction, "sha256": "a" * 64}
    values |= {"destination": b"/sorted/" + name, "scores": scores and {**scores, "neither": 0.0}}
    if scores and prediction:
        values |= {"confidence": scores[prediction], "model": "cats_dogs", "model_sha256": "b" * 64}
    ledger.decide([FileDecision(**{**values, **more})], NOON)
    ledger.file([ticket.id], NOON + timedelta(seconds=2))
    return ticket.id


@pytest.mark.parametrize("block", blocks("sql"))
def test_every_query_in_sql_finds_something(block: Block, site: Path) -> None:
    database = sqlite3.connect(f"file:{site}/state/pawsort.db?mode=ro", uri=True)
    try:
        for statement in filter(str.strip, block.text.split(";")):
            assert database.execute(statement).fetchall(), f"{block.place} finds nothing"
    finally:
        database.close()


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_block_runs(
    block: Block, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(site)
    exec(compile(block.text, block.place, "exec"), {})
    assert capsys.readouterr().out.strip(), f"{block.place} prints nothing"


NAMES = {"NA", "007", "null", "=1.jpg", "rex.jpg"}


def test_the_examples_of_the_reports_keep_names_and_numbers_as_they_are(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)
    read = []
    for (block,) in (found.values for found in blocks("python") if found.id.startswith("docs/reports.md")):
        values: dict[str, Any] = {}
        exec(compile(block.text, block.place, "exec"), values)
        if (images := values.get("images")) is not None:
            assert set(images["name"]) >= NAMES
            assert images["id"].dtype == "int64" and images["seen_at"].dtype.kind == "M"
            read.append(images)
    assert [len(images) for images in read] == [9, 9]
    assert str(read[0]["duplicate_of"].dtype) == "Int64" and read[0]["duplicate_of"].dropna().tolist() == [1]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_yaml_block_is_a_valid_settings_file(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(block.text, encoding="utf-8")
    config.load(path)


@pytest.mark.parametrize("block", blocks("sh"))
def test_every_shell_block_is_well_formed_and_names_what_there_is(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            assert f"\n{words[1]}:" in read("Makefile"), f"{block.place}: no target {words[1]}"
        elif words[:1] == ["pawsort"] or words[1:2] == ["run_worker.py"]:
            check_command(words[2:] if words[0] != "pawsort" else words[1:])
        elif words[1:3] == ["-m", "pip"]:
            assert (ROOT / words[-1]).exists() or "psycopg" in words[-1]


@pytest.mark.parametrize(
    "name", [name for name, context in COMMANDS.items() if "Example:" in (context.command.help or "")]
)
def test_the_example_in_each_help_is_accepted(name: str) -> None:
    example = re.search(r"Example: pawsort (.+)", COMMANDS[name].command.help)
    assert example and f"pawsort {example[1]}".startswith(name)
    check_command(shlex.split(example[1].split("||")[0]))


def check_command(words: list[str]) -> None:
    """Parse a command line as the program would, and go no further. Raises what the parser raises."""
    name = "pawsort"
    while words and f"{name} {words[0]}" in COMMANDS:
        name = f"{name} {words.pop(0)}"
    command = COMMANDS[name].command
    command.make_context(name, list(words))
    is_group = hasattr(command, "commands")
    assert not (is_group and words and not words[0].startswith("-")), f"{name} has no command {words[0]}"
