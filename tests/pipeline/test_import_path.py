"""Python files in the folders of a user are never run, whatever they are called."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.import_path import safe
from tests.end_to_end.conftest import PATIENCE_SECONDS, free_port, picture

ROOT = Path(__file__).parents[2]
LIBRARY = os.path.dirname(os.__file__)
PACKAGES = ("PIL", "cv2", "db", "fastapi", "h5py", "jinja2", "keras", "models", "numpy", "openvino", "pandas",
            "pipeline", "pydantic", "sqlalchemy", "tensorflow", "tests", "typer", "uvicorn", "watchdog",
            "yaml")  # fmt: skip
NAMES = sorted({*PACKAGES, "sitecustomize", "usercustomize", *sys.stdlib_module_names})
LATER = ("ctypes", "html", "models", "multiprocessing", "numpy", "selectors", "tempfile", "typing", "json",
         "collections", "__future__", "subprocess", "typer")  # fmt: skip
"""What Python itself, or the script `pawsort`, imports none of before the first line of Pawsort."""


class Trap:
    """Folders with a Python file for each of many names; each leaves its name in `sprung` when it is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "photos of pets"
        self._sprung = folder / "sprung"

    def set(self, names: object = NAMES) -> Path:
        """Lay out the folder: settings, an inbox with a picture, and traps beside each."""
        inbox = self.folder / "inbox"
        inbox.mkdir(parents=True)
        (self.folder / "config.yaml").write_text("watch: {settle_seconds: 0.1}\n", encoding="utf-8")
        (inbox / "x.jpg").write_bytes(picture(1))
        (self.folder / "x.jpg").write_bytes(picture(1))
        (self.folder / "matplotlibrc").write_bytes(b"\xff\xfe: no settings of matplotlib")
        for name in names:  # type: ignore[attr-defined]
            text = f"open({str(self._sprung)!r}, 'a').write({name!r} + ' ')\n"
            for folder in (self.folder, inbox):
                (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return self.folder

    def sprung(self) -> str:
        return self._sprung.read_text(encoding="utf-8") if self._sprung.exists() else ""


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


def run(trap: Trap, *line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        line,
        cwd=trap.folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert trap.sprung() == "", done.stderr
    return done


@pytest.fixture
def pawsort(tmp_path: Path) -> str:
    """The script that pip writes for the entry point."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = declared["project"]["scripts"]["pawsort"].partition(":")
    script = tmp_path / "bin" / "pawsort"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\n"
        f"if __name__ == '__main__':\n    sys.exit({function}())\n"
    )
    script.chmod(0o755)
    return str(script)


WORKER = str(ROOT / "run_worker.py")


@pytest.mark.timeout(240)
def test_classify_runs_no_file_of_the_working_folder(trap: Trap, pawsort: str) -> None:
    trap.set()
    done = run(trap, pawsort, "classify", "x.jpg")
    assert done.returncode == 0, done.stderr
    assert "x.jpg" in done.stdout


@pytest.mark.long
@pytest.mark.timeout(240)
def test_classify_runs_no_file_of_the_working_folder_where_python_ignores_the_environment(trap: Trap) -> None:
    trap.set()
    done = run(trap, sys.executable, "-E", WORKER, "classify", "x.jpg")
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(240)
def test_a_worker_runs_no_file_of_the_folder_that_an_empty_entry_of_the_path_means(trap: Trap) -> None:
    trap.set(LATER)
    done = run(trap, sys.executable, WORKER, "--once", PYTHONPATH=".:")
    # Each trap in the inbox is a file that is no photo.
    assert done.returncode == 1, done.stderr
    assert f"{len(LATER)} failed" in done.stderr


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_pages_beside_a_worker_run_no_file_of_the_working_folder(trap: Trap) -> None:
    folder, port = trap.set(), free_port()
    with (folder / "config.yaml").open("a", encoding="utf-8") as settings:
        settings.write(f"web: {{port: {port}}}\n")
    with open(folder / "worker.log", "wb") as log:
        worker = subprocess.Popen(
            [sys.executable, WORKER, "run", "--serve"], cwd=folder, stdout=log, stderr=log
        )
    try:
        assert b"<html" in fetched(f"http://127.0.0.1:{port}/", worker)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    assert trap.sprung() == "", (folder / "worker.log").read_text(encoding="utf-8")


def fetched(address: str, worker: subprocess.Popen[bytes]) -> bytes:
    """What is answered, once something is."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return bytes(answer.read())
        except urllib.error.URLError:
            assert time.monotonic() < until and worker.poll() is None
            time.sleep(0.1)


@pytest.mark.parametrize("path", ["", ":", ".", ".:", "../photos of pets"])
@pytest.mark.parametrize("installed", [True, False])
def test_commands_run_no_file_of_a_folder_that_is_not_named_in_full(
    trap: Trap, pawsort: str, path: str, installed: bool
) -> None:
    trap.set(LATER)
    words = [pawsort] if installed else [sys.executable, WORKER]
    assert run(trap, *words, "status", PYTHONPATH=path).returncode == 0


@pytest.mark.parametrize("module", ["pipeline", "pipeline.cli"])
def test_a_module_run_by_name_finds_no_other_module_in_the_working_folder(trap: Trap, module: str) -> None:
    """But for what Python's own `-m` looks for there before Pawsort's first line runs."""
    trap.set([name for name in LATER if name not in ("__future__", "collections")])
    assert run(trap, sys.executable, "-m", module, "status").returncode == 0


CHILD = """
import sys
sys.path[:0] = [%r]
from pipeline.child_process import ChildProcess
from tests.support.echo_child import echo
if __name__ == "__main__":
    process = ChildProcess(echo)
    process.send("hello")
    assert process.receive(60) == "hello"
    process.stop()
"""


@pytest.mark.parametrize("flags", [[], ["-E"], ["-s"], ["-P"], ["-I"], ["-E", "-s"], ["-E", "-P"]])
def test_a_child_is_safe_whatever_started_it(trap: Trap, tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "script.py").write_text(CHILD % str(ROOT), encoding="utf-8")
    trap.set()
    assert run(trap, sys.executable, *flags, str(tmp_path / "script.py")).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[], Path]:
    """A copy that is not installed, in which `pipeline` only says where it was found."""

    def make() -> Path:
        checkout = tmp_path / "a checkout"
        (checkout / "pipeline" / "cli").mkdir(parents=True)
        shutil.copy(ROOT / "run_worker.py", checkout)
        for name in ("__init__.py", "import_path.py", "entry.py"):
            shutil.copy(ROOT / "pipeline" / name, checkout / "pipeline")
        words = "import html, selectors, sys\ndef main():\n    print(__file__)\n"
        (checkout / "pipeline" / "cli" / "app.py").write_text(words, encoding="utf-8")
        for name in ("html", "selectors"):
            (checkout / f"{name}.py").write_text("raise SystemExit('a trap')", encoding="utf-8")
        return checkout

    return make


@pytest.mark.parametrize("flags", [[], ["-P"], ["-I"]])
@pytest.mark.parametrize("link", ["", "folder", "file"])
def test_a_checkout_finds_itself_from_anywhere_and_trusts_only_its_packages(
    checkout: Callable[[], Path], trap: Trap, tmp_path: Path, link: str, flags: list[str]
) -> None:
    found = checkout()
    script = found / "run_worker.py"
    if link == "folder":
        (tmp_path / "linked").symlink_to(found)
        script = tmp_path / "linked" / "run_worker.py"
    if link == "file":
        script = tmp_path / "worker"
        script.symlink_to(found / "run_worker.py")
    trap.set(LATER)
    done = run(trap, sys.executable, *flags, str(script), PYTHONPATH=".")
    assert Path(done.stdout.strip()) == found / "pipeline" / "cli" / "app.py", done.stderr


# --- the path itself ------------------------------------------------------------------------------------


def test_the_library_comes_first_then_the_folder_then_the_rest() -> None:
    path = ["/user", "/checkout", LIBRARY, f"{LIBRARY}/lib-dynload", "/venv/site-packages"]
    assert safe(path, "/checkout", set()) == [
        LIBRARY, f"{LIBRARY}/lib-dynload", "/checkout", "/user", "/venv/site-packages",
    ]  # fmt: skip


def test_relative_and_unsafe_entries_go() -> None:
    path = ["", ".", "photos", "/photos", LIBRARY, "/checkout"]
    assert safe(path, "/checkout", {"/photos", "/checkout"}) == [LIBRARY, "/checkout"]


def test_an_installed_program_keeps_the_order_that_the_user_chose() -> None:
    path = ["", "/mine", LIBRARY, "/venv/site-packages"]
    assert safe(path, "/venv/site-packages", set()) == ["/mine", LIBRARY, "/venv/site-packages"]


def test_an_entry_named_in_full_stays() -> None:
    assert "/mine" in safe(["/mine", LIBRARY], "/checkout", {"/photos"})
