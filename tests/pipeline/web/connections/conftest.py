"""Connections to a running server, and connections in this process by a clock of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from pipeline.settings.config import Settings
from pipeline.web import connections
from pipeline.web.connections import HeaderTimeoutProtocol
from tests.support.live_server import PATIENCE, running

SMALL = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(Settings(base=tmp_path_factory.mktemp("connections"))) as address:
        yield address


def connect(address: str, said: bytes = b"", small: bool = False) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    line = socket.socket()
    if small:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.settimeout(PATIENCE)
    line.connect((host, int(port)))
    line.sendall(said)
    return line


def status(line: socket.socket, said: bytes = b"") -> int:
    line.sendall(said)
    return int(line.recv(65536).split()[1])


# --- a connection in this process -----------------------------------------------------------------------


class Line:
    """A transport that sends nothing on, or keeps what is written."""

    def __init__(self, peer: str, stuck: bool = False) -> None:
        self.peer = peer
        self.stuck = stuck
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        return {"peername": (self.peer, 1), "sockname": ("127.0.0.1", 2), "socket": self}.get(name)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 2

    def getpeername(self) -> tuple[str, int]:
        return self.peer, 1

    family = socket.AF_INET

    def getsockopt(self, *_: int) -> bytes:
        return bytes(256)

    def setsockopt(self, *_: object) -> None: ...

    def get_write_buffer_size(self) -> int:
        return len(self.written) if self.stuck else 0

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Desk:
    """Connections to an application that never answers, by a clock of the test."""

    def __init__(self, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(loop, "time", lambda: self.now)
        self.loop = loop
        self.state = ServerState()
        self.config = uvicorn.Config(
            self._app, interface="asgi3", ws="none", lifespan="off", log_config=None, proxy_headers=False
        )

    async def _app(self, _scope: object, _receive: object, _send: object) -> None:
        await asyncio.Event().wait()

    def connect(
        self, peer: str, said: bytes = b"", stuck: bool = False
    ) -> tuple[HeaderTimeoutProtocol, Line]:
        made, line = HeaderTimeoutProtocol(self.config, self.state, {}, self.loop), Line(peer, stuck)
        made.connection_made(line)
        if said and not line.closed:
            made.data_received(said)
        return made, line

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            connections.watch(self.state.connections, self.now)
            self.now += 1.0
        connections.watch(self.state.connections, self.now)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(connections, "CONNECTIONS", 4)
    monkeypatch.setattr(connections, "SPARE", 4)
    loop = asyncio.new_event_loop()
    with monkeypatch.context() as patched:
        yield Desk(loop, patched)
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


NEVER_ENDS = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"
UPLOAD = NEVER_ENDS.replace(b"/login", b"/api/inbox")


# --- what is no HTTP ------------------------------------------------------------------------------------


CHUNKED = b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
