"""Run pytest many times in forks of a process that has imported the libraries, but none of Pawsort's modules.

`python scripts/forked_pytest.py MODULE...` imports these and reads orders from stdin, each a line of JSON; a
fork runs each order, and its exit code is written to stdout. `Runner` is the client.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PRELOADED = (
    "pytest", "numpy", "PIL.Image", "pillow_heif", "sqlalchemy", "alembic.command", "pydantic", "pandas",
    "yaml", "watchdog.observers.inotify_c", "apscheduler.schedulers.background", "multiprocessing.connection",
)  # fmt: skip
"""Without modules of Pawsort, and without plugins of pytest, which pytest must import first."""

TOO_LONG = 2
"""Exit code for a killed pytest; the same as pytest's own for an interrupted run."""


class Runner:
    """Client of the process, for one thread; close it when done."""

    def __init__(self, preloaded: Sequence[str] = PRELOADED) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, __file__, *preloaded], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self,
        tree: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        seconds: float,
        output: Path,
    ) -> int:
        """Run pytest in a tree, for at most `seconds`; return its exit code. Its output goes to `output`."""
        order = {"tree": str(tree), "arguments": list(arguments), "environment": dict(environment)}
        line = json.dumps({**order, "seconds": seconds, "output": str(output)})
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.wait()


def main() -> None:
    """Serve orders until stdin ends."""
    sys.path.pop(0)  # our own folder, which is not where the code to be tested is
    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _be_pytest(order)
        print(_end_of(child, order["seconds"]), flush=True)


def _be_pytest(order: dict[str, object]) -> None:
    os.setpgid(0, 0)
    output = os.open(str(order["output"]), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, descriptor)
    tree, environment, arguments = order["tree"], order["environment"], order["arguments"]
    assert isinstance(environment, dict) and isinstance(arguments, list)
    os.chdir(str(tree))
    sys.path.insert(0, str(tree))
    os.environ.update(environment)
    import pytest

    code = pytest.main(arguments)
    sys.stdout.flush()
    os._exit(int(code))


def _end_of(child: int, seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TOO_LONG


if __name__ == "__main__":
    main()
