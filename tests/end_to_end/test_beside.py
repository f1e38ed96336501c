"""A worker and its pages: two processes, of which neither stops the other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pipeline import heartbeat
from tests.end_to_end.conftest import ROOT, Site, free_port

pytestmark = pytest.mark.timeout(600)


def pages_of(worker: int) -> int | None:
    """The process that shows the pages of a worker."""
    for child in Path(f"/proc/{worker}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in map(int, child.read_text().split()):
                if b"pipeline.companion" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
    return None


@pytest.mark.fault(111)
def test_a_worker_goes_on_without_its_pages_and_they_come_back_and_end_with_it(site: Site) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    line = [sys.executable, str(ROOT / "run_worker.py"), "run", "--serve", "--config", str(site.config)]
    with open(site.folder / "worker.log", "a", encoding="utf-8") as log:
        environment = {**os.environ, "PAWSORT_WEB__PORT": str(port)}
        worker = subprocess.Popen(line, stderr=log, stdout=log, text=True, env=environment)
    site.own(worker)

    def are_up() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/healthz") as answer:
            return bool(answer.status == 200)
        return False

    site.wait(are_up, "the pages")
    first = pages_of(worker.pid)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    site.wait(lambda: pages_of(worker.pid) not in (first, None) and are_up(), "the pages again")
    beat = heartbeat.read(site.settings.state / heartbeat.FILE_NAME)
    assert worker.poll() is None and beat is not None and beat.health == "ok"
    assert "the pages ended with code -9" in site.log()
    worker.kill()
    worker.wait()
    site.wait(lambda: not are_up(), "the pages to end")
