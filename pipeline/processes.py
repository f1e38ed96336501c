"""Signals, parents and CPUs of processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

PARENT_VARIABLE = "PAWSORT_PARENT_PID"
"""Environment variable with the id of the process that a command has to end with; see `pipeline.entry`."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def collect_signals(
    on_first: Callable[[int], None] = lambda number: None,
) -> Iterator[list[int]]:
    """Collect STOP_SIGNALS in a list instead of dying of them; a second one ends the process at once.

    `on_first` is called in the signal handler. In any other thread than the main thread no signal is handled.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        on_first(number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent(parent: int, number: int) -> bool:
    """Have the kernel send signal `number` to this process when `parent` ends; return False if it has ended.

    Linux counts the end of the thread that started this process as the end of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent  # it may have ended before the line above


def usable_cpus() -> int:
    """Return the number of CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_running(pid: int) -> bool:
    """Return whether a process of this machine has the id `pid`, a zombie included."""
    return os.path.exists(f"/proc/{pid}")


def end(process: subprocess.Popen[bytes], seconds: float) -> int:
    """End a child by SIGTERM, or by SIGKILL after so many seconds; return its exit code."""
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
