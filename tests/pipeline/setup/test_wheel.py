"""A wheel, as `pipx install` and `uv tool install` make it, works from any folder."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from scripts import smoke_commands
from tests.support import runtime_environment
from tests.support.pictures import encode, scene

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what git has, without this checkout's environment and caches."""
    folder = tmp_path_factory.mktemp("wheel")
    archive = folder / "source.tar"
    subprocess.run(["git", "-C", ROOT, "archive", "HEAD", "-o", archive], check=True)
    (folder / "source").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", folder / "source"], check=True)
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*runtime_environment.PIP, "wheel", folder / "source", *options], check=True)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def pawsort(wheel: Path) -> Path:
    """The command of the wheel, where only the packages are that the wheel asks for, without extras."""
    return runtime_environment.make(wheel, wheel.parent / "environment")


def test_it_has_every_file_of_the_packages(wheel: Path) -> None:
    source = wheel.parent / "source"
    expected = {
        str(path.relative_to(source))
        for package in ("pipeline", "models", "db")
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(wheel) as packed:
        assert expected - set(packed.namelist()) == set()


def test_every_command_works_with_the_packages_that_the_wheel_asks_for(pawsort: Path, tmp_path: Path) -> None:
    for name in ("pytest", "fastapi", "sklearn"):
        words = [pawsort.with_name("python"), "-c", f"import {name}"]
        assert b"ModuleNotFoundError" in subprocess.run(words, cwd="/", capture_output=True).stderr, name
    home = tmp_path / "pets"
    steps = (*smoke_commands.QUICK, smoke_commands.Step("serve", "'pawsort[web]'", 2))
    assert [*smoke_commands.helps(pawsort), *smoke_commands.run(pawsort, home, steps)] == []


@pytest.mark.long
def test_an_installation_is_made_and_files_a_photo(pawsort: Path, tmp_path: Path) -> None:
    home = tmp_path / "pets"
    environment = {"PATH": os.environ["PATH"], "PAWSORT_CONFIG": str(home / "config.yaml")}

    def run(*words: str) -> str:
        done = subprocess.run([pawsort, *words], cwd="/", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"made {home}/inbox" in run("init", str(home))
    (home / "inbox" / "a.jpg").write_bytes(encode(scene(), "JPEG"))
    run("run", "--once")
    assert "a.jpg" in run("query", "--format", "csv")
    assert "cats_dogs" in run("models", "--json")
