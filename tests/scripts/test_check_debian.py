"""The check in a new Debian says at once what it lacks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_debian.sh"
USED = ("bash", "dirname", "sed", "realpath", "mktemp", "ls", "rm", "unshare", "setpriv", "pivot_root", "git")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The folder of the only programs: those that the script starts with, and an `id` that says root."""
    for name in USED:
        path = shutil.which(name, path="/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") or pytest.skip(
            f"{name} is not here"
        )
        (tmp_path / name).symlink_to(path)
    identity(tmp_path, 0)
    return tmp_path


def identity(programs: Path, user: int) -> None:
    """Let `id` say that the script is run by this user."""
    (programs / "id").write_text(f"#!/bin/sh\necho {user}\n")
    (programs / "id").chmod(0o755)


def refused(programs: Path, *arguments: str) -> str:
    """Run the script, which must end with exit code 2; return what it says."""
    run = subprocess.run(
        [SCRIPT, *arguments], env={"PATH": str(programs)}, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (2, ""), run
    return run.stderr


def test_it_names_a_missing_debootstrap(programs: Path) -> None:
    assert "no debootstrap here (Debian: apt install debootstrap" in refused(programs)


def test_it_is_for_root(programs: Path) -> None:
    identity(programs, 1000)
    assert "run it as root" in refused(programs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "someone"), "--user is root or plain"),
        (("--user",), "--user is root or plain"),
        (("--fast",), "unknown option --fast"),
        (("--keep",), "--keep needs a folder"),
        (("make run", "make test"), "one command, in quotes"),
    ],
)
def test_a_wrong_command_line_is_explained(programs: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(programs, *arguments)


def test_a_folder_of_other_files_is_left_alone(programs: Path, tmp_path: Path) -> None:
    (programs / "debootstrap").symlink_to(programs / "id")
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("mine")
    assert "neither empty nor a system" in refused(programs, "--keep", str(other))
    assert [path.name for path in other.iterdir()] == ["file"]
