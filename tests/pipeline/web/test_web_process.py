from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import import_path
from pipeline.processes import PARENT_VARIABLE, is_running
from pipeline.web import web_process
from pipeline.web.web_process import WebProcess


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_process, "BACKOFF_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(web_process, "_TICK", 0.01)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], WebProcess]]:
    made: list[WebProcess] = []

    def start(script: str) -> WebProcess:
        made.append(WebProcess(["/bin/sh", "-c", f"cd {tmp_path}; echo $$ >> pids; {script}"]))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def pids(folder: Path, at_least: int = 1) -> list[int]:
    """The processes there were, once there were so many."""
    until = time.monotonic() + 20
    while not (folder / "pids").exists() or len((folder / "pids").read_text().split()) < at_least:
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_it_is_started_again_however_it_ends(started: Callable[[str], WebProcess], tmp_path: Path) -> None:
    started("exit 3")
    assert len(set(pids(tmp_path, at_least=3))) >= 3


@pytest.mark.fault(111)
def test_it_is_started_again_after_a_kill(started: Callable[[str], WebProcess], tmp_path: Path) -> None:
    started("exec sleep 60")
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    assert is_running(pids(tmp_path, at_least=2)[1])


def test_it_ends_when_it_is_wanted_no_more(started: Callable[[str], WebProcess], tmp_path: Path) -> None:
    kept = started("exec sleep 60")
    [pid] = pids(tmp_path)
    kept.stop()
    assert not is_running(pid)


def test_ctrl_c_reaches_the_worker_alone_which_then_stops_it(
    started: Callable[[str], WebProcess], tmp_path: Path
) -> None:
    started("exec sleep 60")
    assert os.getpgid(pids(tmp_path)[0]) != os.getpgid(0)


def test_it_ends_even_if_it_will_not(
    started: Callable[[str], WebProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_process, "STOP_SECONDS", 0.1)
    kept = started("trap '' TERM; while true; do sleep 0.05; done")
    [pid] = pids(tmp_path)
    kept.stop()
    assert not is_running(pid)


def test_a_missing_program_is_ignored() -> None:
    kept = WebProcess(["/nowhere/pawsort"])
    time.sleep(0.05)
    kept.stop()


CHILD = """
import time
from pipeline import entry
from pipeline.cli import app
app.main = lambda: (print("up", flush=True), time.sleep(60))
entry.main()
"""
WORKER = f"""
import os, subprocess, sys, time
environment = {{**os.environ, {PARENT_VARIABLE!r}: str(os.getpid())}}
line = [sys.executable, "-c", {CHILD!r}]
child = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_it_does_not_outlive_a_worker_that_was_killed() -> None:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
    assert worker.stdout
    pid = int(worker.stdout.readline())
    worker.kill()
    worker.communicate()
    until = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.01)


def test_a_server_whose_parent_has_ended_does_not_start() -> None:
    """The settings are missing, so a command that began would have failed."""
    line = [*import_path.interpreter(), "serve", "--config", "/nowhere"]
    assert subprocess.run(line, env={**os.environ, PARENT_VARIABLE: "1"}, timeout=60).returncode == 0
    for own in ({}, {PARENT_VARIABLE: "abc"}):  # what is no id is ignored
        ended = subprocess.run(line, env=os.environ | own, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 2 and "Traceback" not in ended.stderr


def test_pages_that_cannot_be_started_say_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pages = WebProcess([str(tmp_path / "python")])
    until = time.monotonic() + 20
    while "do not start: no process can be started: No such file or directory: " not in caplog.text:
        assert time.monotonic() < until, caplog.text
        time.sleep(0.01)
    pages.stop()
