from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.make_run import MEANINGS, explained

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("code", [0, 129, 130, 143])
def test_a_stop_that_was_asked_for_is_no_error(code: int) -> None:
    assert explained(code) == (0, "")


def test_every_other_code_stays_and_is_explained() -> None:
    for code in (*range(1, 7), 70):
        stays, line = explained(code)
        assert stays == code and f"exit code {code}: " in line and len(line.splitlines()) == 1
    table = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert listed - {0, 129, 130, 143} == set(MEANINGS)


def test_the_arguments_and_the_message_of_the_command_arrive(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "scripts/make_run.py",
        "--config",
        str(tmp_path / "none.yaml"),
        "run",
        "--once",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith("pawsort: ") and "none.yaml" in first and "exit code 2" in last
