"""A notification server on loopback, and a worker's alerts with clocks of the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipeline.alerts.alerts import Alerts
from pipeline.alerts.silences import NONE_WATCHED, Silences
from pipeline.settings import config
from pipeline.worker.heartbeat import Heartbeat

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


@dataclass
class Server:
    """What arrived at a server: messages by POST, and the paths of GETs; `status` is what it answers."""

    port: int = 0
    messages: list[dict[str, str]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    status: int = 200

    @property
    def url(self) -> str:
        """The URL of Apprise for it; its path is a secret."""
        return f"json://127.0.0.1:{self.port}/hunter2"

    @property
    def titles(self) -> list[str]:
        """The titles in their order, without the name of the machine."""
        return [message["title"].partition(": ")[2] for message in self.messages]


@contextmanager
def server() -> Iterator[Server]:
    """Yield a server that runs until the end."""
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200:
                found.messages.append(message)
            self.answer()

        def do_GET(self) -> None:
            found.fetched.append(self.path)
            self.answer()

        def answer(self) -> None:
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), name="pawsort-notified")
    thread.start()
    try:
        yield found
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class Watched:
    """The alerts of a worker, which take a heartbeat whenever `beat` is called; `pass_time` moves the clocks.

    `outcomes`, `restarts` and `refusals` are those of the worker.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        (folder / "config.yaml").write_text(settings, encoding="utf-8")
        self.settings = config.load(folder / "config.yaml")
        self.settings.state.mkdir(exist_ok=True)
        self.settings.sorted.mkdir(exist_ok=True)
        self.now, self.seconds = START, 1000.0
        self.outcomes: dict[str, int] = {}
        self.restarts = 0
        self.refusals: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Begin a new run of the worker, with what is in its folder alone."""
        self.outcomes, self.restarts, self.refusals = {}, 0, []
        self.alerts = Alerts(self.settings, None, lambda: self.now, lambda: self.seconds)

    def pass_time(self, **duration: float) -> None:
        """Move both clocks."""
        passed = timedelta(**duration)
        self.now, self.seconds = self.now + passed, self.seconds + passed.total_seconds()

    def beat(self, **values: Any) -> None:
        """Take a heartbeat of a worker that is well but for these values, and send what is due."""
        self.beat_with(NONE_WATCHED, **values)

    def beat_with(self, silences: Silences, **values: Any) -> None:
        """The same, with what the worker sees of others."""
        beat = Heartbeat(
            **{"pid": 1, "started_at": self.now, "at": self.now, "state": "watching", "health": "ok"} | values
        )
        self.alerts.follow(beat, self.outcomes, self.restarts, self.refusals, silences)
        while self.alerts.sender.step():
            pass

    def last(self, minutes: float = 2, **values: Any) -> None:
        """Take the same heartbeat again and again, for some minutes."""
        for _ in range(round(minutes * 2)):
            self.beat(**values)
            self.pass_time(seconds=30)
        self.beat(**values)
