"""A worker as a process, with the shipped model, on folders of its own."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import app
from tests.support.process_installation import PATIENCE_SECONDS, ProcessInstallation

ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


def picture(seed: int, size: tuple[int, int] = (120, 90), format: str = "JPEG") -> bytes:
    """A picture of coloured blocks that no other seed gives."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(buffer, format)
    return buffer.getvalue()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class CommandInstallation(ProcessInstallation):
    """An installation whose commands are run as a user runs them, with the shipped model."""

    pause_seconds = 0.2

    def __init__(self, folder: Path, settings: str = "") -> None:
        super().__init__(folder, settings or "watch: {settle_seconds: 0.5}\n")
        self.address = ""
        self._started: list[subprocess.Popen[str]] = []

    def command(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        line = self._line(*words)
        return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_SECONDS, **options)

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, which has imported already what each process needs seconds for."""
        out, err, handlers, level = io.StringIO(), io.StringIO(), logging.root.handlers[:], logging.root.level
        line = ["pawsort", *words, "--config", str(self.config)]
        try:
            with (
                mock.patch.object(sys, "argv", line),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                pytest.raises(SystemExit) as ended,
            ):
                app.main()
        finally:
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
        return subprocess.CompletedProcess(line, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    def json(self, *words: str, by: Command | None = None) -> Any:
        done = (by or self.command)(*words, "--json")
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str, log: str = "worker.log", **environment: str) -> subprocess.Popen[str]:
        """Start a command in the background: the worker, without words."""
        with open(self.folder / log, "a", encoding="utf-8") as output:
            process = subprocess.Popen(
                self._line(*words), stderr=output, stdout=output, text=True, env={**os.environ, **environment}
            )
        self._started.append(process)
        return process

    def serve(self) -> str:
        """Start the pages in the background; return their address."""
        port = free_port()
        self.start("serve", "--port", str(port), log="serve.log")
        address = f"http://127.0.0.1:{port}"

        def is_up() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/healthz") as answer:
                return bool(answer.status == 200)
            return False

        self.wait(is_up, "the server")
        return address

    def stop(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(timeout=30)

    def close(self) -> None:
        """End what still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
        super().close()

    def _line(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "run_worker.py"), *words, "--config", str(self.config)]


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[CommandInstallation]:
    pawsort = CommandInstallation(tmp_path)
    yield pawsort
    pawsort.close()
