"""Run the web server in a process of its own, and send the requests of a visitor."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 300.0
MOST_BYTES = 20_000_000

ADDRESSES = (
    "/", "/today", "/today/now", "/reports", "/models", "/models/cats_dogs", "/files/777",
    "/review", "/review?order=alike", "/review?many=1", "/review?reason=low_confidence&prediction=cat",
    "/review?reason=neither&prediction=dog&order=alike", "/review?after=500000",
    "/browse", "/browse?after=500000", "/browse?outcome=cats", "/browse?outcome=dogs&after=500000",
    "/browse?outcome=uncertain", "/browse?outcome=failed", "/browse?outcome=failed&reason=truncated",
    "/browse?first=2026-10-01&last=2026-10-07", "/browse?last=2025-12-31", "/browse?inbox=/photos/inbox1",
    "/browse?low=40&high=60", "/browse?low=99.9", "/browse?low=10&high=20", "/browse?model=cats_dogs",
    "/browse?model=absent", "/browse?corrected=yes", "/browse?corrected=no", "/browse?name=rex",
    "/browse?name=img", "/browse?name=zanzibar", "/browse?inbox=/photos/inbox1&low=40&high=60",
    "/browse?outcome=uncertain&name=rex&first=2026-01-01", "/browse?outcome=dogs&low=99&corrected=yes",
    "/api/status", "/metrics", "/api/results", "/api/results?outcome=uncertain&limit=1000",
    "/api/results?name=rex", "/api/results?min_confidence=0.4&max_confidence=0.6", "/api/results/777",
)  # fmt: skip
"""Each page, and each of its filters."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Run `pawsort serve` on the settings in `folder`, until the block ends; yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    line = [sys.executable, str(ROOT / "run_worker.py"), "serve", "--port", str(port)]
    server = subprocess.Popen([*line, "--config", str(folder / "config.yaml")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait(60)


def visit(port: int, address: str) -> tuple[float, bytes]:
    """Ask for an address; return the milliseconds until all of it was here, and what it was."""
    began = time.perf_counter()
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        line.request("GET", address, headers={"Accept": "text/html"})
        answer = line.getresponse()
        said = answer.read(MOST_BYTES)
    finally:
        line.close()
    if answer.status != 200:
        raise RuntimeError(f"{address}: {answer.status} {said[:200]!r}")
    return 1000 * (time.perf_counter() - began), said


def forget(path: Path) -> None:
    """Let the kernel drop what it keeps of a file, so that the next reader waits for the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _wait_for(port: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            visit(port, "/healthz")
            return
        time.sleep(0.1)
    raise TimeoutError("the server did not start")
