"""Limits on how long connections wait for their clients, and eviction when all connections are taken.

Once a second each connection is checked: it is closed if its client sends its request or receives its
response too slowly. When all connections are taken, a new one replaces the slowest.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
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

from pipeline.web import lingering
from pipeline.web.lingering import LingeringTransport
from pipeline.web.middleware.body_limits import SLOWEST, is_upload
from pipeline.web.middleware.busy import ALL_TAKEN, BUSY, HAS_ENDED, RETRY_AFTER, is_loopback, network_of
from pipeline.web.middleware.problems import PROBLEM_JSON, Problem, as_dict
from pipeline.web.short_reads import ShortReads
from pipeline.web.small_chunks import ChunkLimitedConnection

CONNECTIONS = 200
"""Maximum number of connections; more are answered 503, unless one of them waits for its client."""

SPARE = 40
"""Connections beyond CONNECTIONS for 503 responses and health checks; half of them for this machine only."""

HEAD_SECONDS = 15.0
"""Maximum time for the head of a request, since the connection or the previous response."""

WRITE_SECONDS = 60.0
"""Maximum time in which a client receives nothing of a waiting response; slow clients receive large steps."""

EVICTABLE_SECONDS = 1.0
"""Time that a connection may keep the server waiting before a new one may replace it."""

FAST = 100_000
"""Bytes a second at which a connection is never replaced."""

_INVALID = "This is not a valid HTTP request.", "Send HTTP/1.1."
_SMALL_CHUNKS = "The chunks of this body are too small.", "Send it with Content-Length, or in larger chunks."
_RESET = struct.pack("ii", 1, 0)

_TCP_BYTES_ACKED = 120
"""Offset of the number of acknowledged bytes in struct tcp_info of Linux."""

_numbers = itertools.count()

Turn = Literal["request", "body", "answer", "rest"]
"""What a connection waits for: that its client sends a request, a body or the rest of one, or receives."""


@dataclass(slots=True)
class Pace:
    """How long the server has waited for a client, and how many bytes the client has moved since."""

    began: float
    total: int
    moved: int = 0
    last: float = 0.0

    def __post_init__(self) -> None:
        self.last = self.began

    def see(self, total: int, now: float) -> None:
        """Record how many bytes the connection has moved so far."""
        if total > self.total + self.moved:
            self.moved, self.last = total - self.total, now

    def is_late(self, turn: Turn, now: float) -> bool:
        """Return whether the client is too slow; bodies have their own limits (BodyLimiter)."""
        if turn == "body":
            return False
        if turn == "rest":
            return now - self.began > lingering.DISCARD_SECONDS
        if turn == "request":
            return now - self.began > HEAD_SECONDS
        return now - self.last > WRITE_SECONDS or now - self.began > WRITE_SECONDS + self.moved / SLOWEST

    def debt(self, now: float) -> float:
        """Return how many seconds longer the client took than a fast one."""
        return now - self.began - self.moved / FAST


class HeaderTimeoutProtocol(H11Protocol, ShortReads):
    """Uvicorn's protocol with limits on how long it waits for a client."""

    conn: ChunkLimitedConnection

    gone = False
    """Whether it was closed and no longer counts."""

    is_spare = False
    """Whether it was opened while all connections were taken."""

    has_ended = False
    _received = 0
    _discarded = 0
    _turn: tuple[Turn, object] | None = None
    _pace: Pace | None = None

    def connection_made(self, transport: Any) -> None:
        """Accept the connection, if necessary in place of a slow one or as a spare one; else refuse it."""
        self.conn = ChunkLimitedConnection()
        self._lingering = LingeringTransport(transport, lambda: self._is_sending_body and not self.gone)
        super().connection_made(cast(asyncio.Transport, self._lingering))
        self.app = functools.partial(_serve, self.app, self)
        self.number = next(_numbers)
        others = [each for each in self.connections if each is not self and not _of(each).gone]
        if len(others) < CONNECTIONS or self._replace(map(_of, others)):
            return
        local = self.client is not None and is_loopback(self.client[0])
        room = len(others) < CONNECTIONS + (SPARE if local else SPARE // 2)
        if room or (local and _drop_oldest_silent(map(_of, others))):
            self.is_spare = True
            return
        self.transport.write(_refusal(503, *BUSY, RETRY_AFTER))
        self.close()

    def data_received(self, data: bytes) -> None:
        """Count the received bytes, and close the connection if too many follow a response."""
        self._received += len(data)
        self._discarded = self._discarded + len(data) if self.discards else 0
        if self._discarded > lingering.DISCARD_BYTES:
            self.close()
        elif not self._lingering.lingers:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn says None, asyncio either
        """Keep the connection, if a request came whole, until it and those that followed are answered."""
        self.has_ended = self._must_answer
        return self.has_ended

    def on_response_complete(self) -> None:
        """Begin with the next request; close the connection if the client has ended and there is none."""
        super().on_response_complete()
        if self.has_ended and not self._must_answer:
            self.transport.close()

    def watch(self, now: float) -> None:
        """Close the connection if its client is late; called once a second."""
        turn = self._turn_of_client()
        if turn is None:
            self._turn = self._pace = None
            return
        kind, total = turn
        # Each request is a new turn, even if they follow each other fast.
        if self._turn != (kind, self.cycle) or self._pace is None:
            self._turn, self._pace = (kind, self.cycle), Pace(now, total)
        self._pace.see(total, now)
        if self._pace.is_late(kind, now):
            self.close()

    @property
    def takes_upload(self) -> bool:
        """Whether it receives files; an upload without the token is answered at once."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return cycle.more_body and is_upload(cycle.scope["path"])

    @property
    def discards(self) -> bool:
        """Whether its request was answered before its body had come whole."""
        return self._lingering.lingers or (self.conn.our_state is h11.DONE and self._is_sending_body)

    @property
    def _must_answer(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    @property
    def _is_sending_body(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    def debt(self, now: float) -> float:
        """Return how many seconds the client has kept the server waiting, as of the last `watch`."""
        return self._pace.debt(now) if self._pace else 0.0

    def close(self) -> None:
        """Close the connection; reset it if data waits that the client does not receive."""
        self.gone = True
        if self.transport.get_write_buffer_size():
            # Without this the kernel keeps its part of the response for minutes.
            with contextlib.suppress(OSError):  # the client has disconnected just now
                _socket(self.transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Refuse invalid HTTP; during a response the only way is to close the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            words = _SMALL_CHUNKS if self.conn.has_small_chunks else _INVALID
            self.transport.write(_refusal(400, *words))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.close()

    def _should_upgrade(self) -> bool:
        return False  # there are no WebSockets, and uvicorn's warning for each request would fill the log

    def _turn_of_client(self) -> tuple[Turn, int] | None:
        """Return what the client has to do, and its bytes so far; None if the server has to act."""
        if self.transport.get_write_buffer_size():
            return "answer", _acknowledged(self.transport)
        if self.discards:
            return "rest", self._received
        if self.cycle is None or self.cycle.response_complete:
            return "request", 0
        if self.cycle.more_body and not self.flow.read_paused:
            return "body", self._received
        return None

    def _replace(self, others: Iterable[HeaderTimeoutProtocol]) -> bool:
        """Close the slowest connection, of the address with the most; return whether there was one."""
        now, candidates = self.loop.time(), list(others)
        count = collections.Counter(map(_address, candidates))
        waiting = [each for each in candidates if each.debt(now) >= EVICTABLE_SECONDS]
        if not waiting:
            return self._displace(candidates, count)
        max(waiting, key=lambda each: (count[_address(each)], each.debt(now))).close()
        return True

    def _displace(self, others: Iterable[HeaderTimeoutProtocol], count: collections.Counter[str]) -> bool:
        """Close the newest connection of the address with the most, if this one has less than half as many.

        Otherwise a few clients that ask without a pause, whether or not they read, would keep all others out.
        """
        busiest, taken = count.most_common(1)[0]
        if taken <= 2 * (count[_address(self)] + 1):
            return False
        # An upload would have to begin again. A form keeps no place, since /login needs no token for one.
        # Who came last may have no place to give.
        newest = [e for e in others if _address(e) == busiest and not e.takes_upload and not e.is_spare]
        if newest:
            max(newest, key=lambda each: each.number).close()
        return bool(newest)


def watch(connections: Iterable[asyncio.Protocol], now: float) -> None:
    """Close the connections whose clients are late."""
    for each in list(connections):
        _of(each).watch(now)


def _drop_oldest_silent(connections: Iterable[HeaderTimeoutProtocol]) -> bool:
    """Close the oldest spare connection without a request; health checks send theirs at once."""
    silent = [each for each in connections if each.is_spare and each.cycle is None]
    if silent:
        min(silent, key=lambda each: each.number).close()
    return bool(silent)


async def _serve(app: ASGIApp, of: HeaderTimeoutProtocol, scope: Scope, receive: Receive, send: Send) -> None:
    scope.update({ALL_TAKEN: of.is_spare, HAS_ENDED: lambda: of.has_ended})
    await app(scope, receive, send)


def _of(connection: object) -> HeaderTimeoutProtocol:
    assert isinstance(connection, HeaderTimeoutProtocol)
    return connection


def _address(connection: HeaderTimeoutProtocol) -> str:
    return network_of(connection.client[0]) if connection.client else ""


def _acknowledged(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has acknowledged, without those in local buffers."""
    try:
        info = _socket(transport).getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:  # the client has disconnected just now
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
