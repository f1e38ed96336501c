"""The pages that a worker shows: a process of their own, of which neither stops the other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

from pipeline.worker import heartbeat
from tests.end_to_end.conftest import CommandInstallation


def pages_of(worker: int) -> int | None:
    """The process that shows the pages of a worker."""
    for child in Path(f"/proc/{worker}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in map(int, child.read_text().split()):
                if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
    return None


class Pages:
    """The pages at a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def are_up(self) -> bool:
        """Return whether the server answers."""
        address = f"http://127.0.0.1:{self.port}/healthz"
        with contextlib.suppress(OSError), urllib.request.urlopen(address) as answer:
            return bool(answer.status == 200)
        return False

    def come_back_after_a_kill(self, pawsort: CommandInstallation, worker: subprocess.Popen[str]) -> None:
        """Kill them, and wait until others are there, while their worker goes on."""
        pawsort.wait(self.are_up, "the pages")
        first = pages_of(worker.pid)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        pawsort.wait(lambda: pages_of(worker.pid) not in (first, None) and self.are_up(), "the pages again")
        beat = heartbeat.read(pawsort.settings.state / heartbeat.FILE_NAME)
        assert worker.poll() is None and beat is not None and beat.health == "ok"
        assert "the pages ended with code -9" in pawsort.log

    def end(self, pawsort: CommandInstallation) -> None:
        """Wait until the server no longer answers: its worker was killed."""
        pawsort.wait(lambda: not self.are_up(), "the pages to end")
