"""Fetch pictures and originals from the pages of the machine that has them.

Only addresses of the table `workers` are asked, with the token of the settings. No redirect is followed and
no proxy used. Size and time are bounded, and a machine that does not answer is left alone for a while.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.web.elsewhere.owner import NotReachable, Owner

SECONDS = 5.0
"""How long a machine may take to accept a connection, and for each part of its answer."""

TOTAL_SECONDS = 20.0
"""How long a picture may take."""

PAUSE_SECONDS = 15.0
"""How long a machine that did not answer is not asked again."""

MOST_BYTES = 45_000_000
"""The largest picture that is fetched, a little more than the largest original that the pages show."""

MOST_WAITING = 100
"""Pictures that may wait for other machines."""

THREADS = 4
PIECE_BYTES = 256 * 1024

OWN_ONLY = "X-Pawsort-Own-Only"
"""The header by which a machine that is asked does not ask another one in turn."""

_KINDS = {f"image/{kind}" for kind in ("jpeg", "png", "gif", "webp", "avif", "bmp")}


class Fetched(NamedTuple):
    """A picture and its media type."""

    kind: str
    data: bytes


class Original(NamedTuple):
    """An original that is being received: its size in bytes, and its pieces."""

    size: int
    pieces: Iterator[bytes]


class OwnersPages:
    """Ask the pages of other machines; `clock` counts seconds. Thread-safe."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._clock = clock
        # Of its own, so that a machine that hangs does not keep the pages of this one waiting.
        self._pool = ThreadPoolExecutor(THREADS, "owners-pages")
        self._waiting = threading.Semaphore(MOST_WAITING)
        self._paused: dict[str, float] = {}

    def request(self, owner: Owner, path: str) -> Future[Fetched]:
        """Request a picture at a path of the owner's pages. The future raises NotReachable."""
        if not self._waiting.acquire(blocking=False):
            raise NotReachable("too many pictures of other machines are requested at once")
        future = self._pool.submit(self._picture, owner, path)
        future.add_done_callback(lambda _: self._waiting.release())
        return future

    @contextmanager
    def original(self, owner: Owner, path: str) -> Iterator[Original]:
        """Open an original at a path of the owner's pages. Raises NotReachable."""
        with self._answer(owner, path) as response:
            yield Original(int(response.headers.get("Content-Length", -1)), self._pieces(owner, response))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _picture(self, owner: Owner, path: str) -> Fetched:
        until, data = self._clock() + TOTAL_SECONDS, bytearray()
        with self._answer(owner, path) as response:
            kind = response.headers.get_content_type()
            if kind not in _KINDS:
                raise NotReachable(f"the pages of {owner.name} sent no picture")
            for piece in self._pieces(owner, response):
                data += piece
                if len(data) > MOST_BYTES or self._clock() > until:
                    self._pause(owner)
                    raise NotReachable(f"the picture from {owner.name} is too large or comes too slowly")
        return Fetched(kind, bytes(data))

    @contextmanager
    def _answer(self, owner: Owner, path: str) -> Iterator[http.client.HTTPResponse]:
        if not owner.address:
            raise NotReachable(f"{owner.name} has no address for other machines in its `web.address`")
        if self._clock() < self._paused.get(owner.address, 0.0):
            raise NotReachable(f"the pages of {owner.name} did not answer at {owner.address}")
        connection, below = _connection(owner.address, owner.name)
        try:
            with self._asked(connection, owner, below + path) as response:
                if response.status != 200:
                    refused = _refusal(response.status)
                    raise NotReachable(f"the pages of {owner.name} refused it: {refused}")
                yield response
        finally:
            connection.close()

    def _asked(
        self, connection: http.client.HTTPConnection, owner: Owner, path: str
    ) -> http.client.HTTPResponse:
        headers = {OWN_ONLY: "1", "Accept": "*/*"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token.encode().decode('latin-1')}"
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._pause(owner)
            raise NotReachable(
                f"the pages of {owner.name} did not answer at {owner.address} ({_words(error)})"
            ) from error

    def _pause(self, owner: Owner) -> None:
        self._paused[str(owner.address)] = self._clock() + PAUSE_SECONDS

    def _pieces(self, owner: Owner, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read(PIECE_BYTES):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            self._pause(owner)
            raise NotReachable(f"the connection to {owner.name} broke ({_words(error)})") from error


def _connection(address: str, name: str) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection to an address that is not opened yet, and the path below which its pages are."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None:
        raise NotReachable(f"{name} has an address that cannot be used: {address[:200]}")
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return make(host, port, timeout=SECONDS), parts.path.rstrip("/")


def _refusal(status: int) -> str:
    known = {
        401: "401, all machines need the same `web.token`",
        404: "404, it has no such file",
        421: "421, its `web.hosts` needs the name in its `web.address`",
    }
    return known.get(status, str(status))


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
