"""Clients that hold a connection: silent, slow, taking nothing, or all at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import h11
import httpx
import pytest
import uvicorn
from starlette.requests import Request
from uvicorn.server import ServerState

from pipeline.config import Settings
from pipeline.web import connections, lingering
from pipeline.web.connections import HEAD_SECONDS, WRITE_SECONDS, HeaderTimeoutProtocol, Pace
from pipeline.web.middleware.body_limits import SLOWEST, SMALL_BODY
from pipeline.web.middleware.busy import ALL_TAKEN, is_loopback, network_of
from pipeline.web.middleware.guard import HEADERS, SecurityMiddleware
from pipeline.web.middleware.problems import PROBLEM_JSON
from tests.support.live_server import PATIENCE, running, wait

MANY = 400
"""Answers of the largest static file, far more than the buffers of both sides take."""
LARGE = b"GET /static/vendor/htmx-2.0.11.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
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


def everything(line: socket.socket) -> bytes:
    """What comes until the end of the connection, however that comes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := line.recv(65536):
            found += data
    return found


def status(line: socket.socket, said: bytes = b"") -> int:
    line.sendall(said)
    return int(line.recv(65536).split()[1])


# --- who takes nothing ----------------------------------------------------------------------------------


@pytest.mark.fault(107)
def test_who_takes_nothing_of_an_answer_is_hung_up_on(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.5)
    with connect(live, LARGE * MANY, small=True) as line:
        assert state(line, lambda now: now != ESTABLISHED) != ESTABLISHED


ESTABLISHED = 1


def state(line: socket.socket, done: Callable[[int], bool]) -> int:
    """The state of a TCP connection in the kernel, which shows its end without taking anything from it."""

    def now() -> int:
        return int(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])

    wait(lambda: done(now()))
    return now()


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
def test_who_takes_less_and_less_or_a_byte_now_and_then_is_late() -> None:
    soon = int(WRITE_SECONDS) + 2
    assert (pace(lambda _: 0, 1000) or 1000) <= soon
    assert (pace(lambda _: 1, 1000) or 1000) <= soon
    assert (pace(lambda second: 10**9 * (second < 5), 1000) or 1000) <= soon + 5


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


def test_a_request_that_is_worked_on_keeps_its_place_for_as_long_as_that_takes(desk: Desk) -> None:
    lines = [desk.connect("127.0.0.1", SMALL)[1] for _ in range(4)]
    desk.wait(500)
    assert not any(line.closed for line in lines)
    refused, _ = desk.connect("127.0.0.1")
    assert refused.app is not desk.config.loaded_app


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    ("said", "stuck"), [(b"", False), (b"GET / HT", False), (NEVER_ENDS, False), (b"nonsense\r\n\r\n", True)]
)
def test_who_keeps_the_server_waiting_loses_its_place_to_who_comes(
    desk: Desk, said: bytes, stuck: bool
) -> None:
    lines = [desk.connect("127.0.0.1", said, stuck)[1] for _ in range(4)]
    desk.wait(2)
    for _ in range(3):
        made, _line = desk.connect("127.0.0.1", SMALL)
        assert made.app is desk.config.loaded_app, "it was not let in"
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
    assert same.app is not desk.config.loaded_app, "it has all places already"
    made, _line = desk.connect("192.0.2.1", SMALL)
    assert made.app is desk.config.loaded_app, "it was not let in"
    assert [line.closed for line in [*busy, upload]] == [False, False, True, False]


@pytest.mark.fault(107)
def test_bodies_that_are_no_uploads_do_not_keep_others_out(desk: Desk) -> None:
    uploads = [desk.connect("192.0.2.66", UPLOAD)[1] for _ in range(2)]
    forms = [desk.connect("192.0.2.66", NEVER_ENDS)[1] for _ in range(2)]
    desk.wait(0)
    made, _line = desk.connect("192.0.2.1", SMALL)
    assert made.app is desk.config.loaded_app, "it was not let in"
    assert [line.closed for line in [*uploads, *forms]] == [False, False, False, True]


@pytest.mark.fault(107)
def test_the_addresses_of_one_ipv6_network_do_not_keep_others_out(desk: Desk) -> None:
    for host in range(4):
        desk.connect(f"2001:db8::{host}", SMALL)
    same, _ = desk.connect("2001:db8::ffff", SMALL)
    assert same.app is not desk.config.loaded_app, "its network has all places already"
    made, _line = desk.connect("2001:db8:0:1::1", SMALL)
    assert made.app is desk.config.loaded_app, "it was not let in"


@pytest.mark.parametrize(
    ("address", "network", "loopback"),
    [
        ("2001:db8::1", "2001:db8::/64", False),
        ("2001:db8::ffff:0:0:1", "2001:db8::/64", False),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64", False),
        ("fe80::1%eth0", "fe80::/64", False),
        ("::ffff:192.0.2.7", "192.0.2.7", False),
        ("192.0.2.7", "192.0.2.7", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("-", "-", False),
        ("", "", False),
    ],
)
def test_an_ipv6_network_is_one_client_and_loopback_is_itself(
    address: str, network: str, loopback: bool
) -> None:
    assert (network_of(address), is_loopback(address)) == (network, loopback)


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
def test_what_is_sent_after_the_answer_is_not_taken_for_ever(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", NEVER_ENDS)
    made.cycle.response_complete = True
    for _ in range(int(HEAD_SECONDS) + 2):
        made.data_received(b"x")
        desk.wait(1)
    assert line.closed


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", ["/login", "/name", "/review/answer"])
def test_a_body_without_a_stated_length_is_bounded_too(live: str, path: str) -> None:
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    with connect(live, CHUNKED.replace(b"/login", path.encode()).removesuffix(b"\r\n") + kind) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(chunk * (2 * SMALL_BODY // 4096))
        assert b" 413 " in line.recv(65536).splitlines()[0]


# --- all places taken -----------------------------------------------------------------------------------


@contextlib.contextmanager
def full(live: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(connections, "CONNECTIONS", 3)
    monkeypatch.setattr(connections, "EVICTABLE_SECONDS", 1e9)
    with contextlib.ExitStack() as lines:
        for _ in range(3):
            assert status(lines.enter_context(connect(live)), SMALL) == 200
        yield


@pytest.mark.fault(107)
def test_when_all_places_are_taken_a_page_is_answered_503_in_our_words(
    live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full(live, monkeypatch):
        answer = httpx.get(f"{live}/api/models")
        page = httpx.get(f"{live}/", headers={"Accept": "text/html"})
    assert answer.status_code == page.status_code == 503
    assert answer.headers["retry-after"] == page.headers["retry-after"] == "5"
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert {"status", "error", "what_to_do"} < set(answer.json()) and "All connections" in page.text
    assert {name: page.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/status"])
def test_when_all_places_are_taken_this_machine_may_ask_how_it_is(
    live: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full(live, monkeypatch):
        assert httpx.get(live + path).status_code == 200


@pytest.mark.parametrize(("peer", "place"), [("127.0.0.1", True), ("::1", True), ("192.0.2.66", False)])
def test_a_spare_place_is_for_the_health_checks_of_this_machine_alone(peer: str, place: bool) -> None:
    scope = {"type": "http", "path": "/healthz", "headers": [], "client": (peer, 1), ALL_TAKEN: True}
    assert SecurityMiddleware._has_connection(Request(scope)) is place


@pytest.mark.fault(107)
def test_two_hundred_clients_that_read_nothing_stop_no_other(live: str) -> None:
    with contextlib.ExitStack() as lines:
        for _ in range(connections.CONNECTIONS):
            lines.enter_context(connect(live, LARGE * MANY, small=True))
        for path in ("/healthz", "/metrics"):
            assert httpx.get(live + path, timeout=PATIENCE).status_code == 200
        for path in ("/login", "/static/pawsort.css", "/"):
            wait(lambda path=path: httpx.get(live + path, timeout=PATIENCE).status_code == 200)  # type: ignore[misc]


# --- the rest of a body after the answer ----------------------------------------------------------------

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


# --- what is no HTTP ------------------------------------------------------------------------------------

CHUNKED = b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        CHUNKED + b"zz\r\n",
        LARGE + b"nonsense\r\n\r\n",
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused_without_a_word_in_the_log(
    live: str, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(live, said) as line:
        line.shutdown(socket.SHUT_WR) if said.endswith(b"zz\r\n") else None
        answer = everything(line)
    assert b"HTTP/1.1 400 " in answer or b"HTTP/1.1 404 " in answer or not answer
    if answer.startswith(b"HTTP/1.1 400 "):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert set(json.loads(body)) == {"type", "title", "status", "detail", "error", "what_to_do"}
        assert b"connection: close" in head.lower()
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    assert httpx.get(f"{live}/healthz").status_code == 200


def test_in_the_middle_of_an_answer_no_other_begins(desk: Desk) -> None:
    made, line = desk.connect("127.0.0.1", CHUNKED)
    made.conn.send(h11.Response(status_code=404, headers=[]))
    made.data_received(b"zz\r\n")
    assert line.closed and line.written == b""


@pytest.mark.fault(107)
def test_an_upgrade_to_another_protocol_is_a_plain_request(
    live: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = SMALL.removesuffix(b"\r\n") + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connect(live) as line:
        assert status(line, said) == 200
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_the_field_of_tcp_info_is_that_of_the_kernel(live: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as server,
    ):
        server.sendall(b"x" * 1000)
        client.recv(1000, socket.MSG_WAITALL)
        info = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        assert struct.unpack_from("Q", info, connections._TCP_BYTES_ACKED) == (1000,)
