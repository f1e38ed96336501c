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
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from pipeline import config
from pipeline.cli import app
from tests.support.oracle import files_below

ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]
PATIENCE_SECONDS = 240.0  # a machine that does much else takes minutes to load TensorFlow


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


class Site:
    """A folder with settings, where commands are run as a user runs them."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        # The one that `auto` chooses, without its trial: what the first of these workers converts, the others
        # find in the tests' cache, and start in half the time.
        engine = "openvino" if find_spec("openvino") else "tensorflow"
        usual = f"watch: {{settle_seconds: 0.5}}\nengine: {engine}\n"
        self.config.write_text(settings or usual, encoding="utf-8")
        self.settings = config.load(self.config)
        self.inbox = self.settings.inboxes[0]
        self.inbox.mkdir()
        self.injected: list[bytes] = []
        self.address = ""
        self._workers: list[subprocess.Popen[str]] = []

    def drop(self, name: str | bytes, data: bytes) -> None:
        path = os.path.join(os.fsencode(self.inbox), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            file.write(data)
        self.injected.append(data)

    def command(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        line = [sys.executable, str(ROOT / "run_worker.py"), *words, "--config", str(self.config)]
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

    def worker(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start the worker in the background."""
        line = [sys.executable, str(ROOT / "run_worker.py"), *words, "--config", str(self.config)]
        log = open(self.folder / "worker.log", "a", encoding="utf-8")  # noqa: SIM115 - the worker's, for life
        with log:
            worker = subprocess.Popen(
                line, stderr=log, stdout=log, text=True, env={**os.environ, **environment}
            )
        self._workers.append(worker)
        return worker

    def serve(self) -> str:
        """Start the pages in the background; return their address."""
        port = free_port()
        line = [sys.executable, str(ROOT / "run_worker.py"), "serve", "--port", str(port)]
        with open(self.folder / "serve.log", "a", encoding="utf-8") as log:
            server = subprocess.Popen(
                [*line, "--config", str(self.config)], stderr=log, stdout=log, text=True
            )
        self._workers.append(server)
        address = f"http://127.0.0.1:{port}"

        def is_up() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/healthz") as answer:
                return bool(answer.status == 200)
            return False

        self.wait(is_up, "the server")
        return address

    def wait(self, done: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < until, f"waited in vain for {what}:\n{self.log()}"
            time.sleep(0.2)

    def wait_until_filed(self, count: int) -> None:
        self.wait(lambda: len(files_below(self.settings.sorted)) >= count, f"{count} files")

    def log(self) -> str:
        logs = [path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("*.log"))]
        return "".join(logs)

    def stop(self, worker: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
        worker.send_signal(number)
        return worker.wait(timeout=30)

    def close(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()
