"""Clients of a running server that hold a connection: silent, slow, malformed, or all at once."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pipeline.web import connections
from pipeline.web.connections import HeaderTimeoutProtocol
from pipeline.web.downloads import excel
from pipeline.web.middleware.body_limits import SMALL_BODY
from pipeline.web.middleware.guard import HEADERS
from pipeline.web.middleware.problems import PROBLEM_JSON
from tests.pipeline.web.conftest import photo
from tests.pipeline.web.connections.conftest import CHUNKED, SMALL, connect, status
from tests.support.live_server import PATIENCE, wait

MANY = 400
"""Answers of the largest static file, far more than the buffers of both sides take."""
LARGE = b"GET /static/vendor/htmx-2.0.11.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


def everything(line: socket.socket) -> bytes:
    """What comes until the end of the connection, however that comes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := line.recv(65536):
            found += data
    return found


# --- who takes nothing ----------------------------------------------------------------------------------


@pytest.mark.fault(107)
def test_a_client_that_reads_nothing_is_disconnected(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.fault(107)
@pytest.mark.parametrize("path", ["/login", "/name", "/review/answer"])
def test_a_body_without_a_stated_length_is_bounded_too(live: str, path: str) -> None:
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    with connect(live, CHUNKED.replace(b"/login", path.encode()).removesuffix(b"\r\n") + kind) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(chunk * (2 * SMALL_BODY // 4096))
        assert b" 413 " in line.recv(65536).splitlines()[0]


# --- who sends nothing more -----------------------------------------------------------------------------

PHOTO = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%b\r\n--x--\r\n'


def upload(stated: int = 0) -> bytes:
    """A photo, or what claims to have `stated` bytes more."""
    body = PHOTO % photo("cat")
    kind = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % (
        len(body) + stated
    )
    return b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\n" + kind + body


def test_a_client_that_leaves_before_a_long_answer_begins_is_noticed(
    live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checks_only(*arguments: Any) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            arguments[-1]()  # raises once the client has left
            time.sleep(0.01)

    monkeypatch.setattr(excel, "_write", checks_only)
    with connect(live, b"GET /api/export?format=xlsx HTTP/1.1\r\nHost: localhost\r\n\r\n") as line:
        line.shutdown(socket.SHUT_WR)
        assert b"The client has left" in everything(line)


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    ("said", "answers"),
    [(SMALL, 1), (LARGE, 1), (LARGE * 5, 5), (upload(), 1), (SMALL * 3 + upload() + LARGE, 5)],
    ids=["small", "large", "pipelined", "upload", "mixed"],
)
def test_requests_that_came_whole_are_answered_although_the_client_sends_no_more(
    live: str, said: bytes, answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of `nc -N` and simple proxies, which close their half of the connection after a request."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1e9)  # no limit of time ends the connection
    monkeypatch.setattr(HeaderTimeoutProtocol, "timeout_keep_alive_handler", lambda self: None)
    with connect(live, said) as line:
        line.shutdown(socket.SHUT_WR)
        assert everything(line).count(b"HTTP/1.1 200 ") == answers


@pytest.mark.fault(107)
@pytest.mark.parametrize("said", [b"", b"GET / HT", upload(stated=5)])
def test_a_client_that_sends_no_more_of_a_request_is_disconnected(live: str, said: bytes) -> None:
    with connect(live, said) as line:
        line.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 200 " not in everything(line)


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


@pytest.mark.fault(107)
def test_two_hundred_clients_that_read_nothing_stop_no_other(live: str) -> None:
    with contextlib.ExitStack() as lines:
        for _ in range(connections.CONNECTIONS):
            lines.enter_context(connect(live, LARGE * MANY, small=True))
        for path in ("/healthz", "/metrics"):
            assert httpx.get(live + path, timeout=PATIENCE).status_code == 200
        for path in ("/login", "/static/pawsort.css", "/"):
            wait(lambda path=path: httpx.get(live + path, timeout=PATIENCE).status_code == 200)  # type: ignore[misc]


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
def test_malformed_http_is_refused_and_not_logged(
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


@pytest.mark.fault(104)
@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        (b"http://localhost:8420/healthz", b"localhost", 200),
        (b"HTTP://LOCALHOST/healthz?x=/", b"evil.example", 200),
        (b"http://localhost", b"localhost", 200),
        (b"http://evil.example/healthz", b"localhost", 421),
        (b"http://a@localhost/healthz", b"localhost", 421),
        (b"http:///healthz", b"localhost", 421),
        (b"http://localhost/static/../healthz", b"localhost", 404),
    ],
)
def test_a_target_in_absolute_form_names_the_host(
    live: str, target: bytes, host: bytes, expected: int
) -> None:
    """RFC 9112, section 3.2.2: a server accepts it, and ignores the Host header then."""
    with connect(live) as line:
        assert status(line, b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == expected
