from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from pipeline import version
from pipeline.doctor import support_bundle
from pipeline.settings import config

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.mark.parametrize("command", [["run_worker.py"], ["-m", "pipeline"], ["-m", "pipeline.cli"]], ids=str)
def test_each_way_to_start_prints_the_version(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command, "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"pawsort {VERSION}\n"


def test_an_installed_package_has_the_version_of_its_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(importlib.metadata, "version", {"pawsort": "9.8.7"}.__getitem__)
    assert version.version() == "9.8.7"
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'other'\nversion = '1'\n", encoding="utf-8")
    assert version.version() == "9.8.7", "the file belongs to another project"


def test_a_checkout_has_its_own_version_whatever_the_metadata_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {"pawsort": "0.0.1"}.__getitem__)
    assert version.version() == VERSION


def test_the_support_bundle_has_the_version(tmp_path: Path) -> None:
    support_bundle.pack(config.defaults(tmp_path), tmp_path / "help.zip", [], names=False, log=None)
    with zipfile.ZipFile(tmp_path / "help.zip") as archive:
        assert json.loads(archive.read("about.json"))["packages"]["pawsort"] == VERSION
