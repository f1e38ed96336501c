"""Every number and time of every command, far out of range."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError

from pipeline.cli import app
from pipeline.errors import SettingsError
from pipeline.settings.config import Settings
from pipeline.settings.ranges import LARGEST_INTEGER
from pipeline.settings.sections import WebSettings
from tests.support.installation import Installation

HOSTILE = (
    "-1", "0", "-0.0", "2147483648", str(LARGEST_INTEGER), str(LARGEST_INTEGER + 1), f"-{LARGEST_INTEGER}",
    "1" + "0" * 400, "1" + "0" * 5000, "nan", "-nan", "inf", "-inf", "1e400", "1e308", "5e-324", "0x10",
    "1_0", "\u0661", "", " ", "x", "\udcff",
)  # fmt: skip
ODD_TIMES = (
    "0000-01-01", "0001-01-01", "0001-01-01T00:00+23:59", "0002-01-01", "1600-01-01", "2300-01-01",
    "9998-12-31", "9999-12-31", "9999-12-31T23:59:59-23:59", "10000-01-01", "2026-02-30", "2026-11-21T24:00",
    "2026-W54-1", "2026-11-21T08:00+99:99", "2026-11-21T08:00:00.123456789123", "-2026-11-21",
    "99999999999",
)  # fmt: skip
NOT_NUMBERS = ("nan", "inf", "-inf", "1e400", "1" + "0" * 400, "x")

WORDS = {
    "undo": (), "query": (), "report": (), "serve": (), "train": ("none", "--out", "out"),
    "evaluate": ("cats_dogs", "none"), "export": ("../exported",), "check": (),
    "correct": ("a.jpg", "--as", "dog"), "retry": ("--reason", "none"),
}  # fmt: skip
"""What else the commands need that take numbers or times."""

ALSO = {("undo", "--wait"): ("--last", "1")}
"""What they need with one option alone."""


GROUP: Any = typer.main.get_command(app.app)


def unready(path: Path) -> Settings:
    raise SettingsError("none: no such file")


def options() -> list[tuple[str, str, str]]:
    """Each command's options that take a number or a time: command, option, kind."""
    found = []
    for name, command in GROUP.commands.items():
        for param in getattr(command, "params", ()):
            kind = param.type_descriptor.annotation
            if kind in (int, float, date, datetime):
                found.append((name, max(param.opts, key=len), kind.__name__))
    return found


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(pawsort: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command on an installation with a file in it; return its code and what it printed to stderr."""
    monkeypatch.chdir(pawsort.settings.base)
    monkeypatch.setattr("pipeline.logs.set_up", lambda format, level: None)
    monkeypatch.setattr("pipeline.cli.serve_command.load", unready)
    # Made once, since that takes longer than most calls.
    monkeypatch.setattr(app, "app", GROUP)

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pawsort", *words])
        with pytest.raises(SystemExit) as ended:  # anything else is a traceback
            app.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    pawsort.file(b"a.jpg")
    return call


def test_the_options_of_all_commands_are_found() -> None:
    found = {(command, option) for command, option, _ in options()}
    assert found >= {
        ("query", "--limit"), ("query", "--min-confidence"), ("query", "--since"), ("undo", "--last"),
        ("undo", "--since"), ("report", "--from"), ("train", "--seed"), ("train", "--learning-rate"),
        ("evaluate", "--target-precision"), ("serve", "--port"),
    }  # fmt: skip


@pytest.mark.parametrize(("command", "option", "kind"), options())
def test_no_number_or_time_breaks_a_command(call: Call, command: str, option: str, kind: str) -> None:
    for value in (*HOSTILE, *ODD_TIMES):
        code, said = call(command, *WORDS[command], *ALSO.get((command, option), ()), f"{option}={value}")
        assert code in (0, 2), (value, code, said)
        assert "Traceback" not in said
        if code == 2:
            assert said.count("\n") == 1 and (option in said or value in said or "none" in said), (
                value,
                said,
            )


@pytest.mark.parametrize(
    ("command", "option", "kind"), [each for each in options() if each[2] in ("int", "float")]
)
def test_an_option_refuses_a_value_that_is_not_a_number(
    call: Call, command: str, option: str, kind: str
) -> None:
    for value in NOT_NUMBERS:
        code, said = call(command, *WORDS[command], f"{option}={value}")
        assert (code, option in said) == (2, True), (value, said)


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_at_the_edge_of_the_calendar_is_looked_for(call: Call, option: str) -> None:
    assert call("query", f"{option}=0002-01-01T00:00+23:59")[0] == 0
    assert call("query", f"{option}=9998-12-31T23:59-23:59")[0] == 0


TEXTS = (
    ("query", "--name"), ("query", "--outcome"), ("query", "--prediction"), ("query", "--inbox"),
    ("retry", "--reason"), ("serve", "--host"), ("undo", "--by"),
)  # fmt: skip


@pytest.mark.parametrize(("command", "option"), TEXTS)
def test_a_text_that_is_not_utf8_breaks_no_command(call: Call, command: str, option: str) -> None:
    more = ("--last", "1") if command == "undo" else ()
    code, _ = call(command, *more, f"{option}=a\udcff")
    assert code in (0, 2)


def test_a_file_is_found_by_a_name_that_is_not_utf8(
    call: Call, pawsort: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.file(b"odd \xff.jpg")
    monkeypatch.setattr(sys, "argv", ["pawsort", "query", "--name", "odd \udcff", "--format", "csv"])
    with pytest.raises(SystemExit):
        app.main()
    assert r"odd \xff.jpg" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["a\udcff", "a" * 70, "a..b"])
def test_a_host_that_cannot_be_one_is_refused_by_the_settings(host: str) -> None:
    with pytest.raises(ValidationError, match="a name or address of a host"):
        WebSettings(host=host, token="0123456789abcdef")
