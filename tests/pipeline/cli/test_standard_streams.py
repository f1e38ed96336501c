"""Commands run with closed streams and with terminals that cannot show every character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation

ROOT = Path(__file__).parents[3]

# A command that says where its streams lead, and those of a process that it starts.
LOOK = """
import json, os, subprocess, sys
sys.argv = ["pawsort", "--version"]
from pipeline import entry
from pipeline.cli import app
def look():
    said = [os.path.exists(f"/proc/self/fd/{n}") and os.readlink(f"/proc/self/fd/{n}") for n in range(3)]
    child = "import os; open('child', 'w').write(str([os.path.exists(f'/dev/fd/{n}') for n in range(3)]))"
    subprocess.run([sys.executable, "-c", child], check=True)
    print("out"); print("err", file=sys.stderr)
    open("said", "w").write(json.dumps(said))
app.main = look
entry.main()
"""


def pawsort(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    known = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **environment}
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(command, cwd=folder, env=known, capture_output=True)


@pytest.mark.parametrize(
    "words", [("query",), ("query", "--format", "csv"), ("undo", "--last", "1")], ids=str
)
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_name_that_the_terminal_cannot_show_is_escaped(
    pawsort_folder: Installation, words: tuple[str, ...], encoding: str
) -> None:
    pawsort_folder.file("é猫.jpg".encode())
    done = pawsort(pawsort_folder.folder, *words, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "é".encode(encoding, "backslashreplace") + b"\\u732b.jpg" in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere_in_children_too(tmp_path: Path, closed: str) -> None:
    (tmp_path / "look.py").write_text(LOOK)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    command = f"exec {sys.executable} look.py {closed}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=True, capture_output=True)
    said = json.loads((tmp_path / "said").read_text())
    shut = [number for number, sign in enumerate(("<&-", " >&-", "2>&-")) if sign in f" {closed}"]
    assert [said[number] for number in shut] == [os.devnull] * len(shut)
    assert (tmp_path / "child").read_text() == str([True] * 3)


def test_json_for_a_closed_stdout_ends_well(pawsort_folder: Installation) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    command = f"exec {sys.executable} -m pipeline doctor --json >&-"
    done = subprocess.run(
        ["sh", "-c", command], cwd=pawsort_folder.folder, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def pawsort_folder(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.close()
