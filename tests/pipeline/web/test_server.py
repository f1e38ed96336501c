"""A server on a socket: its address, its bounds, its end; and the lines of docs/api.md."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from pipeline.errors import SettingsError
from pipeline.settings.config import Settings
from pipeline.settings.sections import LimitSettings, WebSettings
from pipeline.web import connections, server
from pipeline.web.middleware.busy import is_loopback
from pipeline.web.middleware.guard import Hosts
from tests.docs.pages import ROOT, blocks
from tests.pipeline.web.conftest import photo
from tests.support.installation import Installation
from tests.support.live_server import PATIENCE, running, wait
from tests.support.model_versions import add_version
from tests.support.pictures import encode, scene


@pytest.fixture(scope="module")
def pawsort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("live"))
    made.time -= timedelta(days=1)  # the server goes by the real clock
    made.file(b"tom.jpg", encode(scene(), "JPEG"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def live(pawsort: Installation) -> Iterator[str]:
    """The address of a server in this process."""
    limits = LimitSettings(decode_seconds=1.5, attempts=1)
    add_version(pawsort.settings, 1)
    settings = pawsort.settings.model_copy(update={"limits": limits})
    with running(settings, learn=["true"]) as address:
        yield address


def inbox(pawsort: Installation) -> set[str]:
    return {path.name for path in pawsort.settings.inboxes[0].iterdir()}


def connect(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


# --- the lines of docs/api.md ---------------------------------------------------------------------------

CURL = shutil.which("curl")
LINES = [
    line
    for each in blocks("sh")
    if each.values[0].place.startswith("docs/api.md")
    for line in each.values[0].text.splitlines()
]


@pytest.mark.skipif(not CURL, reason="curl is not installed")
def test_every_curl_line_of_the_documentation_works(live: str, pawsort: Installation, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / f"{name}.jpg").write_bytes(photo(name))
    assert len(LINES) > 10
    answers = {}
    for line in LINES:
        words = shlex.split(line.replace("http://127.0.0.1:8420", live))
        assert words[0] == "curl"
        command = [str(CURL), "--silent", "--show-error", "--fail-with-body", *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{line}: {done.stdout.decode()} {done.stderr.decode()}"
        answers[line] = done.stdout
    [classified] = [json.loads(said) for line, said in answers.items() if "dog.jpg" in line]
    assert [answer["prediction"] for answer in classified] == ["cat", "dog"]
    assert (tmp_path / "small.jpg").read_bytes().startswith(b"\xff\xd8")
    assert pawsort.state(1)[1] == "cats", "corrected and taken back"
    keyed = [name for name in inbox(pawsort) if re.fullmatch(r"upload-[0-9a-f]{32}\.jpg", name)]
    assert len(keyed) == 1


# --- the address ----------------------------------------------------------------------------------------


@pytest.mark.fault(103)
def test_only_loopback_hears_us_unless_the_settings_say_otherwise() -> None:
    with server.listen(Settings(web=WebSettings(port=free_port()))) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["LOCALHOST", "0:0:0:0:0:0:0:1", "::1", "127.0.0.2", "::ffff:127.0.0.1"])
def test_loopback_needs_no_token_however_it_is_written(host: str) -> None:
    web = WebSettings(host=host)
    assert not Hosts(web).know(Headers({"host": "192.0.2.1"})), "it is not reached from elsewhere"
    with server.listen(Settings(web=web.model_copy(update={"port": free_port()}))) as listener:
        assert is_loopback(listener.getsockname()[0])


@pytest.mark.fault(103)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:192.0.2.1", "localhost.example.org", "128.0.0.1"])
def test_any_other_host_needs_a_token(host: str) -> None:
    with pytest.raises(ValueError, match="expected a token"):
        WebSettings(host=host)


def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings(web=WebSettings(port=other.getsockname()[1]))
        with pytest.raises(SettingsError, match="already in use"):
            server.listen(settings)


def test_an_address_that_is_not_ours_is_said_so() -> None:
    web = WebSettings(host="192.0.2.1", token="x" * 16)
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        server.listen(Settings(web=web))


def test_the_address_to_open_is_one_that_can_be_opened() -> None:
    web = WebSettings(host="0.0.0.0", token="x" * 16)
    assert server.address(Settings(web=web)) == f"http://{socket.gethostname()}:8420/"
    assert server.address(Settings(web=WebSettings(host="::1"))) == "http://[::1]:8420/"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- bounds ---------------------------------------------------------------------------------------------


@pytest.mark.fault(109)
def test_fifty_uploads_at_once_are_each_answered(live: str, pawsort: Installation) -> None:
    before = inbox(pawsort)
    with httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_connections=50)) as client:

        def send(number: int) -> tuple[int, str]:
            path = "/api/inbox" if number % 2 else "/api/classify"
            answer = client.post(live + path, files={"file": ("a.png", photo("cat", number))})
            return answer.status_code, path

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(send, range(50)))
    assert answers == [(201, "/api/inbox") if n % 2 else (200, "/api/classify") for n in range(50)]
    assert len(inbox(pawsort) - before) == 25


@pytest.mark.fault(107)
def test_a_client_that_leaves_in_the_middle_leaves_nothing(live: str, pawsort: Installation) -> None:
    before = inbox(pawsort)
    with connect(live) as line:
        line.sendall(
            b"POST /api/inbox HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\nsome bytes'
        )
        wait(lambda: inbox(pawsort) != before)
        assert all(name.startswith(".pawsort-upload-") for name in inbox(pawsort) - before)
    wait(lambda: inbox(pawsort) == before)


@pytest.mark.fault(107)
@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
def test_a_silent_or_incomplete_request_is_disconnected(
    live: str, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    with connect(live) as line:
        line.sendall(said)
        assert line.recv(100) == b""


@pytest.mark.fault(107)
def test_a_body_that_does_not_come_is_answered_408(live: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.middleware.body_limits.SILENCE_SECONDS", 0.1)
    with connect(live) as line:
        line.sendall(
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken="
        )
        assert b" 408 " in line.recv(1000).splitlines()[0]


@pytest.mark.fault(107)
def test_a_head_that_never_ends_is_refused(live: str) -> None:
    with connect(live) as line, contextlib.suppress(ConnectionError):
        line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000)
        assert line.recv(1000).startswith(b"HTTP/1.1 400") or line.recv(1) == b""


def test_pages_are_answered_while_a_photo_takes_its_time(live: str, tmp_path: Path) -> None:
    with httpx.Client(timeout=PATIENCE) as client, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.post, live + "/api/classify", files={"file": ("a", photo("hang"))})
        for _ in range(5):
            assert httpx.get(live + "/healthz").status_code == 200
            assert not slow.done()
        slow.cancel()


# --- the process ----------------------------------------------------------------------------------------


def start(pawsort: Installation, port: int) -> subprocess.Popen[str]:
    config = pawsort.settings.base / "config.yaml"
    config.write_text(f"web: {{port: {port}}}\n", encoding="utf-8")
    line = [sys.executable, str(ROOT / "run_worker.py"), "serve", "--config", str(config)]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True)


def wait_until_up(address: str) -> None:
    def is_up() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{address}/healthz").status_code == 200
        return False

    wait(is_up)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_the_code_of_the_signal(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(base=tmp_path, web=WebSettings(port=free_port()))
    monkeypatch.setattr(server.Server, "main_loop", lambda self: _signalled(self, number))
    assert server.serve(settings) == 128 + number
    address = f"http://127.0.0.1:{settings.web.port}/"
    assert capsys.readouterr().err == f"pawsort: open {address} in a browser; press Ctrl-C to stop\n"


async def _signalled(made: server.Server, number: int) -> None:
    os.kill(os.getpid(), number)
    while not made.should_exit:
        await asyncio.sleep(0.01)


@pytest.mark.fault(108)
def test_what_was_accepted_survives_a_kill_and_nothing_of_tensorflow_is_loaded(pawsort: Installation) -> None:
    address = f"http://127.0.0.1:{(port := free_port())}"
    process = start(pawsort, port)
    wait_until_up(address)
    assert "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text()
    assert "Umask:\t0077\n" in Path(f"/proc/{process.pid}/status").read_text(), "what it makes is private"
    [delivery] = httpx.post(f"{address}/api/inbox", files={"file": ("a.jpg", b"accepted")}).json()
    process.kill()
    process.communicate()
    path = pawsort.settings.inboxes[0] / delivery["name"]
    assert path.read_bytes() == b"accepted"
    assert os.stat(path).st_nlink == 1
