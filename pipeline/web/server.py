"""Run the web server: address, limits and signals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from db.connection.errors import DatabaseError
from db.queries import listing
from pipeline.errors import OK, SettingsError
from pipeline.files.permissions import limited
from pipeline.settings.config import Settings
from pipeline.web import connections
from pipeline.web.app import create_app
from pipeline.web.connections import CONNECTIONS, SPARE, HeaderTimeoutProtocol
from pipeline.web.services.context import AppContext
from pipeline.web.views.rendering import compile_all

log = logging.getLogger(__name__)

SEND_BYTES = 256 * 1024
"""Send buffer of each connection in the kernel, which uses twice as much memory."""

GRACE_SECONDS = 5
"""How long open requests may take to finish when the server stops."""


def serve(settings: Settings, learn: Sequence[str] = (), report: Sequence[str] = ()) -> int:
    """Serve until a signal, and return the exit code; `learn` and `report` are those of `create_app`.

    Raises SettingsError if the address is in use.
    """
    listener = listen(settings)
    app = create_app(settings, learn=learn, report=report)
    prepare(app.state.context)
    server = make_server(app)
    print(
        f"pawsort: open {address(settings)} in a browser; press Ctrl-C to stop", file=sys.stderr, flush=True
    )
    with listener, limited(settings.permissions):
        server.run(sockets=[listener])
    return 128 + server.received[0] if server.received else OK


def prepare(context: AppContext) -> None:
    """Load templates, models and database, so that no first request waits for them."""
    compile_all()
    context.models.all()
    with contextlib.suppress(DatabaseError):  # each request reports it
        if engine := context.database.reader():
            listing.last_filed(engine)
            context.counts(engine)


def make_server(app: FastAPI) -> Server:
    """Return a server that limits what each client can use."""
    # These log a line for each invalid request, with which a client could fill the disk.
    for name, level in (
        ("uvicorn", logging.ERROR), ("asyncio", logging.WARNING), ("python_multipart", logging.CRITICAL)
    ):  # fmt: skip
        logging.getLogger(name).setLevel(level)
    return Server(
        uvicorn.Config(
            app,
            http=HeaderTimeoutProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=CONNECTIONS + SPARE,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


def address(settings: Settings) -> str:
    """Return the URL to open; `0.0.0.0` is replaced by the name of this machine."""
    host = settings.web.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web.port}{settings.web.base_path}/"


class Server(uvicorn.Server):
    """Notes signals instead of dying of them; a second one ends the process at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.received: list[int] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGINT, SIGTERM and SIGHUP for ours while the server runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections once a second; called ten times a second."""
        if counter % 10 == 0:
            connections.watch(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + number)
        self.received.append(number)
        self.should_exit = True


def listen(settings: Settings) -> socket.socket:
    """Return a socket bound to the address of the settings. Raises SettingsError."""
    host, port = settings.web.host, settings.web.port
    try:
        family, kind, proto, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise SettingsError(f"web.host {host}: no such address: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound_buffers(listener)
        listener.bind(where)
    except OSError as error:
        listener.close()
        raise SettingsError(f"{host}:{port}: {_why(error)}") from error
    return listener


def bound_buffers(listener: socket.socket) -> None:
    """Limit the send buffer in the kernel; connections inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is already in use; stop the other program or choose another `web.port`"
    if error.errno == errno.EACCES:
        return "no permission to listen on this port; choose a `web.port` above 1023"
    return f"cannot listen there: {error.strerror}; choose another `web.host` or `web.port`"
