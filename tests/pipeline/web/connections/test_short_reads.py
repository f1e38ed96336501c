"""How much of a connection is read and parsed before the others have their turn."""

from __future__ import annotations

import pytest

from pipeline.web.connections import HeaderTimeoutProtocol
from pipeline.web.short_reads import READ_BYTES, UPLOAD_BYTES
from tests.pipeline.web.connections.conftest import CHUNKED, NEVER_ENDS, SMALL, UPLOAD, Desk, connect, status

CHUNKS = (b"64\r\n" + b"a" * 100 + b"\r\n") * 20_000


@pytest.mark.fault(107)
def test_a_client_that_sends_much_is_read_in_short_turns(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    take = HeaderTimeoutProtocol.data_received

    def record(self: HeaderTimeoutProtocol, data: bytes) -> None:
        sizes.append(len(data))
        take(self, data)

    monkeypatch.setattr(HeaderTimeoutProtocol, "data_received", record)
    with connect(live, CHUNKED + CHUNKS + b"0\r\n\r\n") as line:
        assert status(line) == 303
        assert status(line, SMALL) == 200, "all of the body was taken"
    assert sum(sizes) > len(CHUNKS)
    assert max(sizes) <= READ_BYTES <= 16 * 1024


@pytest.mark.parametrize(("said", "size"), [(NEVER_ENDS, READ_BYTES), (UPLOAD, UPLOAD_BYTES)])
def test_only_an_upload_is_read_in_long_turns(desk: Desk, said: bytes, size: int) -> None:
    made, _ = desk.connect("127.0.0.1", said)
    assert len(made.get_buffer(-1)) == size


def test_a_refused_upload_is_read_in_short_turns(desk: Desk) -> None:
    made, _ = desk.connect("127.0.0.1", UPLOAD)
    made.get_buffer(-1)
    made.cycle.response_complete = True
    assert len(made.get_buffer(-1)) == READ_BYTES
