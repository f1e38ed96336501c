"""Run the web server: address, limits and signals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from db.connection.errors import DatabaseError
from db.queries import listing
from pipeline.config import Settings
from pipeline.errors import OK, SettingsError
from pipeline.permissions import limited
from pipeline.processes import collect_signals
from pipeline.web import connections
from pipeline.web.app import create_app
from pipeline.web.connections import CONNECTIONS, SPARE, HeaderTimeoutProtocol
from pipeline.web.services.context import AppContext
from pipeline.web.views.rendering import compile_all

log = logging.getLogger(__name__)

HEAD_BYTES = 64 * 1024
"""What the head of a request may have: a browser sends the cookies of every program on the same host."""

SEND_BYTES = 256 * 1024
"""What the kernel may keep of an answer for each connection; it takes twice that for its own use."""

GRACE_SECONDS = 5
"""How long requests may take to end once it is time to stop."""


def serve(settings: Settings) -> int:
    """Answer requests until a signal; return the exit code. Raises SettingsError if the address is taken."""
    listener = listen(settings)
    app = create_app(settings)
    prepare(app.state.context)
    server = make_server(app)
    print(
        f"pawsort: open {address(settings)} in a browser; Ctrl-C stops the page", file=sys.stderr, flush=True
    )
    with listener, limited(settings.permissions):
        server.run(sockets=[listener])
    return 128 + server.received[0] if server.received else OK


def prepare(context: AppContext) -> None:
    """Do what the first visitor of each page would have to wait for: templates, models, the database."""
    compile_all()
    context.models.all()
    with contextlib.suppress(DatabaseError):  # whoever asks will hear of it
        if engine := context.database.reader():
            listing.last_filed(engine)
            context.counts(engine)


def make_server(app: FastAPI) -> Server:
    """Return a server with bounds on whatever a client may take."""
    # What these say of each request that they cannot read, a client could fill the disk with.
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
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
    )


def address(settings: Settings) -> str:
    """Return the URL to open; `0.0.0.0` is no place to go to, so it becomes this machine's name."""
    host = settings.web.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - told apart, not bound
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web.port}/"


class Server(uvicorn.Server):
    """A uvicorn server that ends in order on a signal; a second signal ends the process at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.received: list[int] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop the server on the first of SIGINT, SIGTERM and SIGHUP."""
        with collect_signals(lambda _: self._stop()) as self.received:
            yield

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections once a second; called ten times a second."""
        if counter % 10 == 0:
            connections.watch(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def _stop(self) -> None:
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
    """Bound what the kernel keeps of an answer that a client does not take; connections inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "somebody listens there already; stop that, or choose another `web.port`"
    if error.errno == errno.EACCES:
        return "this user may not listen there; choose a `web.port` above 1023"
    return f"cannot listen there: {error.strerror}; choose another `web.host` or `web.port`"
