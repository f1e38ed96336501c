from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.processes import STOP_SIGNALS, collect_signals, is_running, usable_cpus

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_is_collected_and_its_handler_restored(number: int) -> None:
    before, seen = signal.getsignal(number), []
    with collect_signals(seen.append) as received:
        os.kill(os.getpid(), number)
        assert received == seen == [number]
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process_at_once() -> None:
    program = (
        "import os, signal; from pipeline.processes import collect_signals\n"
        "with collect_signals():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    raise SystemExit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60)
    assert done.returncode == 128 + signal.SIGINT


def test_outside_the_main_thread_no_signal_is_handled() -> None:
    before = signal.getsignal(signal.SIGTERM)
    handlers = []

    def run() -> None:
        with collect_signals() as received:
            handlers.append((signal.getsignal(signal.SIGTERM), received))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [(before, [])]


def test_a_process_is_running_until_it_is_waited_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    process.communicate(b"\n")
    assert not is_running(process.pid)


def test_another_parent_is_noticed() -> None:
    program = "import os, signal; from pipeline.processes import end_with_parent as ends\n"
    program += "print(ends(os.getppid(), signal.SIGTERM), ends(1 + os.getppid(), signal.SIGTERM))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, timeout=60, capture_output=True, text=True
    )
    assert done.stdout == "True False\n"


def test_cpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert usable_cpus() == 2
