"""strace on a worker: what it asks of the kernel, and faults put into the answers."""

from __future__ import annotations

import contextlib
import re
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.fork_server import ForkedWorker

STRACE = shutil.which("strace")
CHANGES = (
    "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "unlink", "unlinkat",
    "rmdir", "openat", "write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync", "utimensat",
    "fchmod", "fchown", "flock",
)  # fmt: skip
READS = (
    "openat",
    "read",
    "pread64",
    "newfstatat",
    "fstat",
    "statfs",
    "fstatfs",
    "getdents64",
    "lseek",
    "readlink",
)
_CALL = re.compile(r"^(\d+) +(\w+)\((.*)$")


class Call(NamedTuple):
    """The `number`-th call of its name by its thread, as strace counts; `text` is how strace writes it."""

    name: str
    number: int
    text: str


class Tracer:
    """strace on a held worker, from its first step on; `inject` as in strace(1), after `-e inject=`."""

    def __init__(
        self, worker: ForkedWorker, calls: tuple[str, ...], inject: str = "", output: Path | None = None
    ) -> None:
        assert STRACE
        _wait_until_held(worker)
        command = [STRACE, "-f", "-p", str(worker.pid), "-o", str(output or "/dev/null")]
        command += ["-e", "trace=" + ",".join(calls), "-e", "signal=none"]
        command += ["-e", f"inject={inject}"] if inject else []
        command += ["-y", "-s", "0"] if output else []
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        if not select.select([self._process.stderr], [], [], 10.0)[0]:
            raise TimeoutError("strace does not attach")
        first = self._process.stderr.readline()
        assert "attached" in first, first
        worker.signal(signal.SIGCONT)

    def detach(self) -> None:
        """Let the worker go on without faults."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            # It waits for each of the network's threads in turn; the kernel lets go of all of them at once.
            self._process.kill()
            self._process.communicate()

    def __enter__(self) -> Tracer:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()


def calls_in(trace: Path, places: tuple[str, ...]) -> list[Call]:
    """Return the calls of a trace that name one of these places, each numbered as in `Call`."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match:
            thread, name, text = match.groups()
            counts[thread, name] += 1
            if any(place in line for place in places):
                found.append(Call(name, counts[thread, name], text))
    return found


def was_injected(trace: Path) -> bool:
    """Return whether a fault was put into one of the calls of a trace."""
    return "(INJECTED)" in trace.read_text(errors="replace")


def changes(call: Call) -> bool:
    """Return whether a call changes what is on disk, or makes it durable."""
    return call.name in CHANGES and (call.name != "openat" or "O_CREAT" in call.text)


def _wait_until_held(worker: ForkedWorker) -> None:
    end = time.monotonic() + 10.0
    while worker.state != "T":
        assert time.monotonic() < end, f"the worker is not held but {worker.state}"
        time.sleep(0.001)
