"""Connections that wait for their client: closed when that takes too long, and sooner when all are taken.

A connection costs a place whether or not its client does anything. So once a second each connection is asked
whose turn it is: a client that does not send its request, or does not take its answer, is closed. When all
places are taken, a new connection gets the place of the one that keeps the server waiting the longest.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import ipaddress
import itertools
import json
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.web.middleware.body_limits import SLOWEST
from pipeline.web.middleware.problems import PROBLEM_JSON, Problem, as_dict

CONNECTIONS = 200
"""Connections at once; more are answered 503, unless one of them waits for its client."""

SPARE = 40
"""Connections beyond CONNECTIONS that are kept open until they are answered: 503, or a health check. Half of
these are for this machine alone."""

HEAD_SECONDS = 15.0
"""How long the head of a request may take, from the connection or from the answer before."""

WRITE_SECONDS = 60.0
"""How long a client may take nothing of an answer that waits for it; a slow one takes it in large steps."""

PATIENT_SECONDS = 1.0
"""How long a connection may keep the server waiting before a new one may have its place."""

FAST = 100_000
"""Bytes a second at which a client never loses its place to a new one."""

FULL = "pawsort.full"
"""The key of an ASGI scope whose request came when all places were taken."""

RETRY_AFTER = {"Retry-After": "5", "Connection": "close"}
BUSY = "All connections of the server are taken.", "Try again in a few seconds."

_RESET = struct.pack("ii", 1, 0)

_TCP_BYTES_ACKED = 120
"""Where struct tcp_info of Linux has the number of bytes that the other side has acknowledged."""

_numbers = itertools.count()

Turn = Literal["request", "body", "answer"]
"""What a connection waits for: that its client sends a request, sends a body, takes an answer."""


@dataclass(slots=True)
class Pace:
    """How long a client had its turn, and how many bytes it moved in it."""

    began: float
    total: int
    moved: int = 0
    last: float = 0.0

    def __post_init__(self) -> None:
        self.last = self.began

    def see(self, total: int, now: float) -> None:
        """Note how many bytes the connection has moved so far."""
        if total > self.total + self.moved:
            self.moved, self.last = total - self.total, now

    def is_late(self, turn: Turn, now: float) -> bool:
        """Tell whether the client took too long; bodies have bounds of their own."""
        if turn == "body":
            return False
        if turn == "request":
            return now - self.began > HEAD_SECONDS
        return now - self.last > WRITE_SECONDS or now - self.began > WRITE_SECONDS + self.moved / SLOWEST

    def debt(self, now: float) -> float:
        """Return how many seconds longer it took than a fast client would have."""
        return now - self.began - self.moved / FAST


class HeaderTimeoutProtocol(H11Protocol):
    """Uvicorn's protocol, with bounds on how long it waits for a client."""

    gone = False
    """It was closed and gives its place back."""

    is_spare = False
    """It came when all places were taken."""

    _received = 0
    _turn: tuple[Turn, object] | None = None
    _pace: Pace | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a place, or make one free; without one, take a spare one or refuse."""
        super().connection_made(transport)
        self.number = next(_numbers)
        others = [each for each in self.connections if each is not self and not _of(each).gone]
        if len(others) < CONNECTIONS or self._replace(map(_of, others)):
            return
        local = self.client is not None and is_loopback(self.client[0])
        room = len(others) < CONNECTIONS + (SPARE if local else SPARE // 2)
        if room or (local and _drop_oldest_silent(map(_of, others))):
            self.is_spare = True
            self.app = functools.partial(_serve_as_full, self.app)
            return
        self.transport.write(_refusal(503, *BUSY, RETRY_AFTER))
        self.close()

    def data_received(self, data: bytes) -> None:
        """Count what comes."""
        self._received += len(data)
        super().data_received(data)

    def watch(self, now: float) -> None:
        """Close the connection if its client is late; to be called once a second."""
        turn = self._whose()
        if turn is None:
            self._turn = self._pace = None
            return
        kind, total = turn
        # Each request is another turn, however fast they follow each other.
        if self._turn != (kind, self.cycle) or self._pace is None:
            self._turn, self._pace = (kind, self.cycle), Pace(now, total)
        self._pace.see(total, now)
        if self._pace.is_late(kind, now):
            self.close()

    @property
    def takes_body(self) -> bool:
        """Whether the body of its request has not come whole yet."""
        return self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete

    def debt(self, now: float) -> float:
        """Return how many seconds it kept the server waiting, as far as `watch` has seen."""
        return self._pace.debt(now) if self._pace else 0.0

    def close(self) -> None:
        """Close in order, but at once where something waits that the client does not take."""
        self.gone = True
        if self.transport.get_write_buffer_size():
            # Without it the kernel would keep what it has of the answer, for minutes.
            with contextlib.suppress(OSError):  # the client left in this moment
                _socket(self.transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse what is no HTTP; in the middle of an answer only the end of the connection can say so."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_refusal(400, "This is not a valid HTTP request.", "Send HTTP/1.1."))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.close()

    def _should_upgrade(self) -> bool:
        return False  # there is no WebSocket here, and a warning for each who asks would fill the log

    def _whose(self) -> tuple[Turn, int] | None:
        """Return what the client has to do, and how many bytes it did so far; None if it is our turn."""
        if self.transport.get_write_buffer_size():
            return "answer", _taken(self.transport)
        if self.cycle is None or self.cycle.response_complete:
            return "request", 0
        if self.cycle.more_body and not self.flow.read_paused:
            return "body", self._received
        return None

    def _replace(self, others: Iterable[HeaderTimeoutProtocol]) -> bool:
        """Close who keeps us waiting the longest, of the address that has the most connections."""
        now, candidates = self.loop.time(), list(others)
        count = collections.Counter(map(_address, candidates))
        waiting = [each for each in candidates if each.debt(now) >= PATIENT_SECONDS]
        if not waiting:
            return self._displace(candidates, count)
        max(waiting, key=lambda each: (count[_address(each)], each.debt(now))).close()
        return True

    def _displace(self, others: Iterable[HeaderTimeoutProtocol], count: collections.Counter[str]) -> bool:
        """Close the newest connection of an address that has most of the places, if this one has few.

        Otherwise one client that asks without a pause, whether or not it reads, would keep all others out.
        """
        busiest, taken = count.most_common(1)[0]
        if taken <= CONNECTIONS // 2 or count[_address(self)] > CONNECTIONS // 10:
            return False
        # An upload would have to begin again, and who came last may have no place to give.
        newest = [e for e in others if _address(e) == busiest and not e.takes_body and not e.is_spare]
        if newest:
            max(newest, key=lambda each: each.number).close()
        return bool(newest)


def watch(connections: Iterable[asyncio.Protocol], now: float) -> None:
    """Close the connections whose clients are late."""
    for each in list(connections):
        _of(each).watch(now)


def _drop_oldest_silent(connections: Iterable[HeaderTimeoutProtocol]) -> bool:
    """Close the spare connection that is silent for the longest; a health check asks at once."""
    silent = [each for each in connections if each.is_spare and each.cycle is None]
    if silent:
        min(silent, key=lambda each: each.number).close()
    return bool(silent)


def is_loopback(address: str) -> bool:
    """Tell whether an address is of this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _serve_as_full(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app({**scope, FULL: True}, receive, send)


def _of(connection: object) -> HeaderTimeoutProtocol:
    assert isinstance(connection, HeaderTimeoutProtocol)
    return connection


def _address(connection: HeaderTimeoutProtocol) -> str:
    return connection.client[0] if connection.client else ""


def _taken(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has acknowledged; what lies in buffers here is not among them."""
    try:
        info = _socket(transport).getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:  # the client left in this moment
        return 0
    (acknowledged,) = struct.unpack_from("Q", info, _TCP_BYTES_ACKED)
    return int(acknowledged)


def _socket(transport: asyncio.Transport) -> socket.socket:
    return cast(socket.socket, transport.get_extra_info("socket"))


def _refusal(status: int, error: str, what_to_do: str, headers: dict[str, str] | None = None) -> bytes:
    body = json.dumps(as_dict(Problem(status, error, what_to_do))).encode()
    more = {"Content-Type": PROBLEM_JSON, "Content-Length": str(len(body)), "Connection": "close"}
    reason = {400: "Bad Request", 503: "Service Unavailable"}[status]
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{k}: {v}" for k, v in {**more, **(headers or {})}.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
