"""`models`, `promote` and `rollback`, and that other commands use the version in force."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app
from pipeline.corrections.correct_undo_retry import correct
from pipeline.settings import config
from pipeline.settings.config import Settings
from tests.support.installation import SMALL, Installation
from tests.support.model_versions import WORSE, add_version, small_bundle

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    small_bundle(tmp_path / "models" / "pets")
    (tmp_path / "config.yaml").write_text(SMALL + "model: pets\n", encoding="utf-8")
    return config.load(tmp_path / "config.yaml")


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command in the folder of the settings; return its code and what it printed."""
    monkeypatch.chdir(settings.base)
    handlers, level = logging.root.handlers[:], logging.root.level

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pawsort", *words])
        with pytest.raises(SystemExit) as ended:
            app.main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    yield run
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def listed(run: Run) -> dict[str, dict[str, Any]]:
    code, out, _ = run("models", "--json")
    assert code == 0
    return {row["name"]: row for row in json.loads(out)}


def test_models_lists_the_configured_one_its_versions_and_all_others(run: Run, settings: Settings) -> None:
    add_version(settings, 1)
    add_version(settings, 2, learnt={"verdict": WORSE})
    rows = listed(run)
    assert list(rows) == ["pets", "pets@1", "pets@2", "cats_dogs", "cats_dogs_mobilenet", "cifar10"]
    assert [rows[name]["version"] for name in rows] == [0, 1, 2, None, None, None]
    assert [name for name in rows if rows[name]["in_force"]] == ["pets"]
    assert rows["pets@2"]["learnt"]["verdict"] == WORSE
    assert rows["pets@1"]["sha256"] != rows["pets@2"]["sha256"]
    assert rows["cats_dogs"]["figures"]["coverage_at_threshold"]["value"] > 0.9
    assert rows["pets"]["folders"] == {"cat": "cats", "dog": "dogs"}
    code, out, _ = run("models")
    assert code == 0
    table = {line.split()[0 if line[0] == " " else 1]: line for line in out.splitlines()}
    assert table["pets"].startswith("*")
    assert "2026-11-29T03:30" in table["pets@1"]
    assert table["pets@2"].rstrip().endswith(f"no      {WORSE['reason']}")


def test_models_says_what_is_wrong_with_a_version(run: Run, settings: Settings) -> None:
    path = add_version(settings, 1)
    next(path.glob("*.npz")).write_bytes(b"")
    add_version(settings, 2, base_sha256="0" * 64)
    (settings.base / "models" / "broken").mkdir()
    (settings.base / "models" / "broken" / "bundle.yaml").write_text("[")
    rows = listed(run)
    assert "is damaged or missing" in rows["pets@1"]["problem"]
    assert "learn again" in rows["pets@2"]["problem"]
    assert "not readable as YAML" in rows["broken"]["problem"]


def test_a_version_is_promoted_by_any_of_its_names_and_rolled_back(run: Run, settings: Settings) -> None:
    for number in (1, 2):
        add_version(settings, number)
    for text, name in (
        ("1", "pets@1"),
        ("pets@2", "pets@2"),
        ("base", "pets"),
        ("2", "pets@2"),
        ("0", "pets"),
    ):
        code, out, _ = run("promote", text)
        assert (code, out) == (0, f"{name} is in force; a running worker changes to it by itself\n")
        assert [row for row in listed(run).values() if row["in_force"]] == [listed(run)[name]]
    code, out, _ = run("rollback", "--json", "--by", "ann")
    path = str(settings.state / "models" / "pets" / "2")
    assert (code, json.loads(out)) == (0, {"version": 2, "name": "pets@2", "path": path})
    record = json.loads((settings.state / "models" / "pets" / "in_force.json").read_bytes())
    assert record["history"][-1]["by"] == "ann"


@pytest.mark.parametrize("text", ["3", "zoo@1", "-", "1e9", "", "9" * 40, "pets@", "latest"])
def test_a_version_that_is_not_there_is_refused(run: Run, settings: Settings, text: str) -> None:
    add_version(settings, 1)
    code, out, err = run("promote", "--", text)
    assert (code, out) == (2, "")
    assert "no such version" in err or "expected the number of a version" in err


def test_a_rollback_without_an_earlier_version_is_refused(run: Run) -> None:
    code, _, err = run("rollback")
    assert (code, err) == (2, "pawsort: pets: no other version was in force before; nothing to roll back\n")


def test_correct_knows_the_classes_of_the_version_in_force(run: Run, settings: Settings) -> None:
    labels, folders = ["cat", "dog", "rabbit"], {"cat": "cats", "dog": "dogs", "rabbit": "rabbits"}
    add_version(settings, 1, labels=labels, folders=folders)
    pawsort = Installation(settings.base, (settings.base / "config.yaml").read_text())
    try:
        pawsort.file(b"a.jpg")
        assert run("promote", "1")[0] == 0
        [change] = correct(pawsort.engine, settings, [b"a.jpg"], "rabbit", "ann")
        assert change.problem is None
        assert pawsort.sorted() == {"rabbits/a.jpg"}
        assert run("doctor")[0] == 0
        assert run("rollback")[0] == 0
        assert run("doctor")[0] == 0, "a class that only another version knows is no problem"
        assert run("config", "check")[0] == 0
    finally:
        pawsort.close()
