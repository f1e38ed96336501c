"""Which connection keeps its place, when more come than there is room for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import h11
import pytest

from pipeline.settings.sections import WebSettings
from pipeline.web import connections
from pipeline.web.connections import HEAD_SECONDS, WRITE_SECONDS, Pace
from pipeline.web.middleware.body_limits import SLOWEST
from pipeline.web.middleware.problems import PROBLEM_JSON
from pipeline.web.public_address import PublicAddress
from tests.pipeline.web.connections.conftest import CHUNKED, NEVER_ENDS, SMALL, UPLOAD, Desk


def pace(rate: Callable[[int], float], seconds: int) -> int | None:
    """After how many seconds a client that takes `rate(second)` bytes of an answer is late."""
    total, made = 0.0, Pace(0.0, 0)
    for second in range(1, seconds + 1):
        total += rate(second)
        made.see(int(total), float(second))
        if made.is_late("answer", float(second)):
            return second
    return None


def test_a_slow_and_steady_reader_of_a_large_file_is_left_alone() -> None:
    assert pace(lambda _: SLOWEST + 100, 20_000) is None
    # Windows of TCP open in steps.
    assert pace(lambda second: 60_000 * (second % 25 == 0), 20_000) is None


@pytest.mark.fault(107)
def test_a_reader_that_slows_down_or_trickles_is_late() -> None:
    soon = int(WRITE_SECONDS) + 2
    assert (pace(lambda _: 0, 1000) or 1000) <= soon
    assert (pace(lambda _: 1, 1000) or 1000) <= soon
    assert (pace(lambda second: 10**9 * (second < 5), 1000) or 1000) <= soon + 5


def test_a_request_that_is_worked_on_keeps_its_place_for_as_long_as_that_takes(desk: Desk) -> None:
    lines = [desk.connect("127.0.0.1", SMALL)[1] for _ in range(4)]
    desk.wait(500)
    assert not any(line.closed for line in lines)
    refused, _ = desk.connect("127.0.0.1")
    assert refused.is_spare


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    ("said", "stuck"), [(b"", False), (b"GET / HT", False), (NEVER_ENDS, False), (b"nonsense\r\n\r\n", True)]
)
def test_a_waiting_connection_gives_way_to_a_new_one(desk: Desk, said: bytes, stuck: bool) -> None:
    lines = [desk.connect("127.0.0.1", said, stuck)[1] for _ in range(4)]
    desk.wait(2)
    for _ in range(3):
        made, _line = desk.connect("127.0.0.1", SMALL)
        assert not made.is_spare, "it was not let in"
    assert sum(line.closed for line in lines) >= 3


@pytest.mark.fault(107)
def test_the_address_with_the_most_connections_loses_its_place_first(desk: Desk) -> None:
    _, honest = desk.connect("192.0.2.1", b"GET / HT")
    desk.wait(5)
    greedy = [desk.connect("192.0.2.66", b"GET / HT")[1] for _ in range(3)]
    desk.wait(2)
    desk.connect("192.0.2.66")
    assert not honest.closed and sum(line.closed for line in greedy) == 1


@pytest.mark.fault(107)
def test_an_address_that_asks_without_a_pause_does_not_keep_others_out(desk: Desk) -> None:
    busy = [desk.connect("192.0.2.66", SMALL)[1] for _ in range(3)]
    upload = desk.connect("192.0.2.66", UPLOAD)[1]
    desk.wait(0)
    same, _ = desk.connect("192.0.2.66", SMALL)
    assert same.is_spare, "it has all places already"
    made, _line = desk.connect("192.0.2.1", SMALL)
    assert not made.is_spare, "it was not let in"
    assert [line.closed for line in [*busy, upload]] == [False, False, True, False]


@pytest.mark.fault(107)
def test_a_few_addresses_that_ask_without_a_pause_do_not_keep_others_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 12)
    busy = [desk.connect(f"192.0.2.{host}", SMALL)[1] for host in (66, 67, 68) for _ in range(4)]
    made, line = desk.connect("192.0.2.1", SMALL)
    assert not made.is_spare, "it was not let in"
    assert sum(each.closed for each in busy) == 1 and not line.closed
    greedy, _line = desk.connect("192.0.2.67", SMALL)
    assert greedy.is_spare, "it has as many as the others"


@pytest.mark.fault(107)
def test_bodies_that_are_no_uploads_do_not_keep_others_out(desk: Desk) -> None:
    uploads = [desk.connect("192.0.2.66", UPLOAD)[1] for _ in range(2)]
    forms = [desk.connect("192.0.2.66", NEVER_ENDS)[1] for _ in range(2)]
    desk.wait(0)
    made, _line = desk.connect("192.0.2.1", SMALL)
    assert not made.is_spare, "it was not let in"
    assert [line.closed for line in [*uploads, *forms]] == [False, False, False, True]


@pytest.mark.fault(107)
def test_an_upload_below_a_path_is_an_upload(desk: Desk) -> None:
    desk.config.app = PublicAddress(desk._app, WebSettings(base_path="/pets"))
    upload, _ = desk.connect("192.0.2.66", UPLOAD.replace(b"/api", b"/pets/api"))
    form, _ = desk.connect("192.0.2.66", NEVER_ENDS.replace(b"/login", b"/pets/login"))
    desk.loop.run_until_complete(asyncio.sleep(0))
    assert upload.takes_upload and not form.takes_upload


@pytest.mark.fault(107)
def test_the_addresses_of_one_ipv6_network_do_not_keep_others_out(desk: Desk) -> None:
    for host in range(4):
        desk.connect(f"2001:db8::{host}", SMALL)
    same, _ = desk.connect("2001:db8::ffff", SMALL)
    assert same.is_spare, "its network has all places already"
    made, _line = desk.connect("2001:db8:0:1::1", SMALL)
    assert not made.is_spare, "it was not let in"


def test_an_address_with_half_of_the_places_keeps_them(desk: Desk) -> None:
    lines = [desk.connect(peer, SMALL)[1] for peer in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3")]
    desk.connect("192.0.2.4", SMALL)
    assert not any(line.closed for line in lines)


def test_an_upload_that_goes_on_keeps_its_place(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", NEVER_ENDS)
    desk.wait(1)
    silent = [desk.connect("127.0.0.1")[1] for _ in range(3)]
    for _ in range(5):
        desk.wait(1)
        made.data_received(b"x" * 10_000)
        made.flow.resume_reading()
        made._received += 200_000
    desk.wait(0)
    desk.connect("127.0.0.1", SMALL)
    assert not line.closed and any(each.closed for each in silent)


@pytest.mark.fault(107)
def test_of_the_spare_places_half_are_for_this_machine(desk: Desk) -> None:
    for host in range(4):
        desk.connect(f"192.0.2.{host}", SMALL)
    spare = [desk.connect("192.0.2.66")[1] for _ in range(2)]
    _, refused = desk.connect("192.0.2.66")
    _, local = desk.connect("127.0.0.1")
    assert not any(line.closed for line in spare) and not local.closed
    assert (
        refused.closed and refused.written.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in refused.written
    )
    said = json.loads(refused.written.partition(b"\r\n\r\n")[2])
    assert PROBLEM_JSON.encode() in refused.written and said["status"] == 503 and said["what_to_do"]


@pytest.mark.fault(107)
def test_silent_connections_never_fill_the_spare_places_of_this_machine(desk: Desk) -> None:
    for host in range(4):
        desk.connect(f"192.0.2.{host}", SMALL)
    asking = desk.connect("127.0.0.1", SMALL)[1]
    silent = [desk.connect("127.0.0.1")[1] for _ in range(3)]
    _, checking = desk.connect("127.0.0.1", SMALL)
    assert [line.closed for line in silent] == [True, False, False]
    assert not checking.closed and not asking.closed
    assert desk.connect("192.0.2.66")[1].closed, "from elsewhere"


@pytest.mark.fault(107)
def test_data_after_the_answer_end_the_connection(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", NEVER_ENDS)
    made.cycle.response_complete = True
    for _ in range(int(HEAD_SECONDS) + 2):
        made.data_received(b"x")
        desk.wait(1)
    assert line.closed


def test_in_the_middle_of_an_answer_no_other_begins(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", CHUNKED)
    made.conn.send(h11.Response(status_code=404, headers=[]))
    made.data_received(b"zz\r\n")
    assert line.closed and line.written == b""
