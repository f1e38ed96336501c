"""The rest of a refused body is received, but only so much and not for long."""

from __future__ import annotations

import contextlib

import h11
import pytest

from pipeline.web import lingering
from tests.pipeline.web.connections.conftest import NEVER_ENDS, SMALL, Desk, connect, status

REFUSED = b"POST /login HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000000000\r\n\r\n"


@pytest.mark.fault(107)
def test_of_a_refused_body_only_so_much_is_received(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "DISCARD_BYTES", 500_000)
    sent = 0
    with connect(live, REFUSED) as line:
        assert line.recv(65536).startswith(b"HTTP/1.1 421 ")
        with contextlib.suppress(ConnectionError):
            while sent < 200_000_000:
                sent += line.send(b"x" * 65536)
    assert sent < 50_000_000  # with what the buffers of both sides take


@pytest.mark.fault(107)
def test_the_rest_of_a_refused_body_has_a_few_seconds(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", NEVER_ENDS)
    for event in (h11.Response(status_code=413, headers=[(b"Content-Length", b"0")]), h11.EndOfMessage()):
        made.conn.send(event)
    for _ in range(4):
        made.data_received(b"x")
        desk.wait(1)
    assert not line.closed
    made.data_received(b"x")
    desk.wait(3)
    assert line.closed


@pytest.mark.fault(107)
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_that_sends_all_before_it_reads_receives_the_refusal(live: str, connection: str) -> None:
    size = 8_000_000
    head = REFUSED.replace(b"1000000000", b"%d" % size)
    head = head.replace(b"Host", b"Connection: %s\r\nHost" % connection.encode())
    with connect(live, head + b"x" * size) as line:
        assert line.recv(65536).startswith(b"HTTP/1.1 421 ")
        if connection == "keep-alive":
            assert status(line, SMALL) == 200, "the same connection is used again"
