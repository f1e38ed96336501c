"""Packages read no settings from the working folder, which may be a folder of photos."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models import working_folder

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "for plots": "from models.errors import need; need('matplotlib')",
    "for training": """
import sys
from models.networks.tf_runtime import tf
assert "keras" not in sys.modules, "a process that only classifies would wait for it"
from models.networks.tf_runtime import keras
""",
}


def test_the_working_folder_is_left_and_entered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError), working_folder.left():
        assert Path.cwd() == Path("/")
        raise RuntimeError
    assert Path.cwd() == tmp_path


def test_a_working_folder_that_was_removed_is_entered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with working_folder.left():
        assert Path.cwd() == Path("/")
    with pytest.raises(FileNotFoundError):
        os.getcwd()


@pytest.mark.parametrize("use", ["for plots", "for training"])
def test_settings_of_matplotlib_in_the_working_folder_are_not_read(tmp_path: Path, use: str) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe is no UTF-8")
    code = f"{PACKAGES[use]}\nimport matplotlib"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
