"""Bodies in chunks of a few bytes, which cost the server far more time than their client."""

from __future__ import annotations

import h11
import pytest

from tests.pipeline.web.connections.conftest import CHUNKED, SMALL, Desk, connect, status

ONE_BYTE = b"1\r\na\r\n"
HUNDRED_BYTES = b"64\r\n" + b"a" * 100 + b"\r\n"


@pytest.mark.fault(107)
def test_a_body_in_chunks_of_one_byte_is_refused(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", CHUNKED + ONE_BYTE * 40_000)
    assert line.closed
    assert line.written.startswith(b"HTTP/1.1 400 ")
    assert b"The chunks of this body are too small." in line.written
    assert len(made.cycle.body) < 2_000, "the rest is not worked through"


@pytest.mark.fault(107)
def test_so_is_the_rest_of_a_body_that_was_answered_already(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", CHUNKED)
    for event in (h11.Response(status_code=401, headers=[(b"Content-Length", b"0")]), h11.EndOfMessage()):
        made.conn.send(event)
    made.data_received(ONE_BYTE * 40_000)
    assert line.closed


@pytest.mark.fault(107)
@pytest.mark.parametrize("chunks", [ONE_BYTE * 1_000, HUNDRED_BYTES * 20_000])
def test_what_programs_send_is_taken(desk: Desk, chunks: bytes) -> None:
    made, line = desk.connect("127.0.0.1", CHUNKED + chunks + b"0\r\n\r\n")
    assert not line.closed
    assert not made.cycle.more_body


@pytest.mark.fault(107)
def test_bytes_that_come_one_by_one_are_no_small_chunks(desk: Desk) -> None:
    _, line = desk.connect("127.0.0.1", CHUNKED + b"2000\r\n")
    made = next(iter(desk.state.connections))
    for _ in range(0x1000):
        made.data_received(b"a")
    assert not line.closed


def test_each_request_of_a_connection_may_have_its_own_small_chunks(live: str) -> None:
    body = CHUNKED + ONE_BYTE * 900 + b"0\r\n\r\n"
    with connect(live, body) as line:
        assert status(line) == 303
        assert status(line, body) == 303
        assert status(line, SMALL) == 200
