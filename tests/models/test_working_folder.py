"""Packages read no settings from the working folder, which may be a folder of photos."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import _imagingmath

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


def test_tensorflow_loads_no_library_of_the_working_folder(tmp_path: Path) -> None:
    folder = tmp_path / "job.py.runfiles/org_tensorflow/tensorflow/core/kernels"
    folder.mkdir(parents=True)
    # TensorFlow loads libraries that name the platform for which they were made.
    made_for = b'\0S\\s":^p*L}__linux__=1\0'
    (folder / "libtfkernel_x.so").write_bytes(Path(_imagingmath.__file__).read_bytes() + made_for)
    (tmp_path / "job.py").write_text(
        "from models.networks.tf_runtime import tf\n"
        "assert tf.constant(1) + 1 == 2\n"
        "print('libtfkernel_x' in open('/proc/self/maps').read())\n"
    )
    done = subprocess.run(
        [sys.executable, "job.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
