"""What systemd says of the units that an administrator copies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PawsortError, StalledError

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = tuple(sorted(DEPLOY.glob("*.service")))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize("examples", [False, True], ids=["as it is", "with its examples"])
def test_systemd_understands_each_line(unit: Path, examples: bool, tmp_path: Path) -> None:
    """An example is a commented setting; a key that only later versions know is ignored."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    text = (
        re.sub(r"^#(?=[A-Z]\w+=)", "", unit.read_text(), flags=re.MULTILINE) if examples else unit.read_text()
    )
    text = re.sub(r"(?<=^ExecStart=)/(opt|usr|bin)\S+", sys.executable, text, flags=re.MULTILINE)
    copy = tmp_path / unit.name
    copy.write_text(text)
    shutil.copy(DEPLOY / "pawsort-failed@.service", tmp_path)
    run = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    about = [line for line in (run.stdout + run.stderr).splitlines() if "pawsort" in line]
    assert [line for line in about if not re.search(r"Unknown key .*Restart(Steps|MaxDelaySec)", line)] == []


def test_each_exit_code_that_needs_a_person_is_listed() -> None:
    [codes] = re.findall(
        r"^RestartPreventExitStatus=(.*)$", (DEPLOY / "pawsort.service").read_text(), re.MULTILINE
    )
    # No worker ends with the code of a backfill that stands still.
    others = {PawsortError.exit_code, StalledError.exit_code}
    needs_a_person = {error.exit_code for error in PawsortError.__subclasses__()} - others
    assert set(map(int, codes.split())) == needs_a_person
