"""`pawsort init` and the ways to name the settings, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import config
from pipeline.setup import new_installation
from tests.pipeline.cli.conftest import Run

SHIPPED = Path(__file__).parents[3] / "config.yaml"


def test_an_installation_has_the_explained_settings_and_the_folders_that_they_name(
    run: Run, tmp_path: Path
) -> None:
    done = run("init", "new/pets")
    home = tmp_path / "new" / "pets"
    assert done.code == 0
    assert (home / "config.yaml").read_bytes() == SHIPPED.read_bytes()
    names = ["config.yaml", "inbox", "sorted", "state", "reports"]
    assert done.out.splitlines()[:-1] == [f"made {home / name}" for name in names]
    assert done.out.splitlines()[-1].endswith(f"pawsort run --config {home}/config.yaml")
    assert (home / "state").stat().st_mode & 0o777 == 0o700


def test_nothing_that_exists_is_changed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("inboxes: [scans]\n", encoding="utf-8")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.jpg").write_bytes(b"a")
    done = run("init", ".")
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "inboxes: [scans]\n"
    assert (tmp_path / "scans" / "a.jpg").read_bytes() == b"a"
    assert not (tmp_path / "inbox").exists() and f"made {tmp_path / 'sorted'}" in done.out
    assert "everything was there; nothing was changed" in run("init", ".").out


@pytest.mark.parametrize(("folder", "said"), [("file", "File exists"), ("file/pets", "Not a directory")])
def test_a_folder_that_cannot_be_made_is_named(run: Run, tmp_path: Path, folder: str, said: str) -> None:
    (tmp_path / "file").touch()
    done = run("init", folder)
    assert (done.code, done.err) == (2, f"pawsort: {tmp_path / folder}: cannot be made: {said}\n")


def test_settings_that_are_wrong_are_kept_and_explained(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("inbox: scans\n", encoding="utf-8")
    done = run("init", ".")
    assert done.code == 2 and "inbox: unknown key" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_folder_without_settings_says_how_to_make_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").unlink()
    for words in ([], ["query"]):
        done = run(*words)
        assert done.code == 2
        assert "config.yaml: no such file; `pawsort init FOLDER` makes one" in done.err


def test_the_environment_names_the_settings_and_an_option_has_priority(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, model in (("config.yaml", "here"), ("named.yaml", "of_the_environment"), ("c.yaml", "given")):
        (tmp_path / name).write_text(f"model: {model}\n", encoding="utf-8")
    assert "model: here" in run("config", "show").out
    monkeypatch.setenv(config.FILE_VARIABLE, str(tmp_path / "named.yaml"))
    monkeypatch.chdir("/")
    assert "model: of_the_environment" in run("config", "show").out
    given = str(tmp_path / "c.yaml")
    assert "model: given" in run("config", "show", "--config", given).out
    assert "model: given" in run("--config", given, "config", "show").out
    monkeypatch.setenv(config.FILE_VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    assert "model: here" in run("config", "show").out


@pytest.mark.parametrize("words", [["query"], ["classify", "."]])
def test_a_file_that_the_environment_names_and_that_is_missing_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv(config.FILE_VARIABLE, "/none/config.yaml")
    done = run(*words)
    assert done.code == 2
    assert "/none/config.yaml: no such file; PAWSORT_CONFIG names it" in done.err


def test_the_settings_that_it_copies_are_those_of_the_repository() -> None:
    assert new_installation.SETTINGS.samefile(SHIPPED)
