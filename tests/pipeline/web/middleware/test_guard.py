from __future__ import annotations

import logging

import pytest
from starlette.datastructures import Headers

from pipeline.settings.sections import WebSettings
from pipeline.web.middleware import request_log
from pipeline.web.middleware.guard import (
    HEADERS,
    Hosts,
    bearer,
    hostname,
    is_ambiguous,
    is_cross_site,
)
from tests.pipeline.web.conftest import HTML, TestClient, client_of, session_of
from tests.support.installation import Installation

TOKEN = "correct horse battery"
PATHS = ("/", "/static/pawsort.css", "/healthz", "/api/openapi.json", "/login", "/nowhere")


@pytest.mark.fault(104)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "", "a@127.0.0.1"]
)
def test_a_foreign_host_is_refused_on_every_path(visitor: TestClient, path: str, host: str) -> None:
    assert visitor.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8420", "LOCALHOST", "[::1]:8420"])
def test_our_own_names_are_answered(visitor: TestClient, host: str) -> None:
    assert visitor.get("/healthz", headers={"Host": host}).json() == {"status": "ok"}


def test_a_public_server_goes_by_its_addresses_and_the_names_in_the_settings() -> None:
    hosts = Hosts(WebSettings(host="0.0.0.0", token=TOKEN, hosts=("pets.example.org",)))
    known = {
        name: hosts.know(Headers({"host": name}))
        for name in ("192.0.2.7:8420", "pets.example.org", "evil.example")
    }
    assert known == {"192.0.2.7:8420": True, "pets.example.org": True, "evil.example": False}


def test_two_host_headers_are_refused() -> None:
    headers = Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")])
    assert not Hosts(WebSettings()).know(headers)


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.b:80", "a.b"), ("[::1]:1", "::1"), ("a/b", None), ("a:x", None), ("u@a", None), ("a?b", None)],
)
def test_a_host_is_a_name_and_perhaps_a_port(host: str, name: str | None) -> None:
    assert hostname(host) == name


@pytest.mark.fault(104)
@pytest.mark.parametrize(
    ("host", "hosts", "sent"),
    [
        ("MyHost.Example", (), "myhost.example:8420"),
        ("pets.exämple.org", (), "pets.xn--exmple-cua.org"),
        ("127.0.0.1", ("Pets.Example.org.",), "pets.example.org"),
        ("127.0.0.1", ("pets.example.org",), "PETS.example.org.:8420"),
        ("127.0.0.1", ("2001:DB8:0:0::1",), "[2001:db8::1]"),
        ("::1", (), "[0:0:0:0:0:0:0:1]:8420"),
        ("127.0.0.1", (), "localhost.:8420"),
        ("127.0.0.2", (), "127.0.0.2"),
    ],
)
def test_a_host_is_known_however_it_is_written(host: str, hosts: tuple[str, ...], sent: str) -> None:
    known = Hosts(WebSettings(host=host, hosts=hosts, token=TOKEN))
    assert known.know(Headers({"host": sent}))
    assert not known.know(Headers({"host": f"evil-{sent.strip('[')}"}))


@pytest.mark.fault(105)
@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"origin": "http://127.0.0.1:8420", "host": "127.0.0.1:8420"}, False),
        ({"origin": "https://pets.example", "host": "pets.example"}, False),
        ({"origin": "http://evil.example", "host": "127.0.0.1:8420"}, True),
        ({"origin": "http://127.0.0.1:3000", "host": "127.0.0.1:8420"}, True),
        ({"origin": "null", "host": "127.0.0.1:8420"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://[", "host": "127.0.0.1:8420"}, True),
        ({"origin": "", "host": "127.0.0.1:8420"}, True),
    ],
)  # fmt: skip
def test_cross_site_requests_are_recognised_by_their_headers(headers: dict[str, str], foreign: bool) -> None:
    assert is_cross_site(Headers(headers)) is foreign


@pytest.mark.fault(105)
@pytest.mark.parametrize("name", ["origin", "sec-fetch-site"])
def test_two_origins_in_one_request_are_refused(name: str) -> None:
    ours = {"origin": b"http://127.0.0.1", "sec-fetch-site": b"same-origin"}[name]
    foreign = {"origin": b"http://evil.example", "sec-fetch-site": b"cross-site"}[name]
    for pair in ((ours, foreign), (foreign, ours)):
        raw = [(b"host", b"127.0.0.1"), *((name.encode(), each) for each in pair)]
        assert is_cross_site(Headers(raw=raw))


@pytest.mark.fault(105)
def test_an_origin_that_is_ours_twice_is_refused_too() -> None:
    raw = [(b"host", b"127.0.0.1"), *[(b"origin", b"http://127.0.0.1")] * 2]
    assert is_cross_site(Headers(raw=raw))


@pytest.mark.fault(107)
@pytest.mark.parametrize(
    ("version", "headers", "ambiguous"),
    [
        ("1.1", {"transfer-encoding": "chunked"}, False),
        ("1.1", {"content-length": "5"}, False),
        ("1.0", {"content-length": "5"}, False),
        ("1.1", {"transfer-encoding": "chunked", "content-length": "5"}, True),
        ("1.0", {"transfer-encoding": "chunked"}, True),
    ],
)
def test_a_request_has_one_end(version: str, headers: dict[str, str], ambiguous: bool) -> None:
    assert is_ambiguous({"http_version": version}, Headers(headers)) is ambiguous


@pytest.mark.fault(107)
def test_a_request_with_two_ends_is_refused(visitor: TestClient) -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "5"}
    answer = visitor.post("/login", headers=headers, content=b"token")
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")


@pytest.mark.fault(105)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_write_from_another_site_is_refused(visitor: TestClient, method: str) -> None:
    answer = visitor.request(method, "/api/anything", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert {"error", "what_to_do"} <= set(answer.json())


@pytest.mark.fault(110)
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_tells_the_browser_what_it_may_not_do(visitor: TestClient, path: str) -> None:
    headers = visitor.get(path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS


def test_a_defect_is_answered_with_the_same_headers_and_no_traceback(
    visitor: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.routes.try_photo.render", lambda *_: 1 / 0)
    answer = visitor.get("/", headers=HTML)
    assert answer.status_code == 500
    assert "Content-Security-Policy" in answer.headers
    assert "ZeroDivision" not in answer.text


# --- the token ------------------------------------------------------------------------------------------


def test_without_the_token_a_page_leads_to_the_form_and_the_api_says_what_to_send(
    pawsort: Installation,
) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        page = client.get("/", headers=HTML, follow_redirects=False)
        assert (page.status_code, page.headers["location"]) == (303, "/login?next=/")
        assert client.get("/api/openapi.json").status_code == 401
        assert client.get("/healthz").status_code == 200
        assert client.get("/static/pawsort.css").status_code == 200


@pytest.mark.parametrize(("shown", "status"), [(TOKEN, 200), (TOKEN + "x", 401), ("", 401), ("ü", 401)])
def test_a_program_shows_the_token_in_a_header(pawsort: Installation, shown: str, status: int) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        headers = {"Authorization": f"Bearer {shown}".encode()}
        assert client.get("/api/openapi.json", headers=headers).status_code == status


@pytest.mark.fault(107)
@pytest.mark.parametrize("name", ["x", "pawsort", "pawsort_answers"])
def test_no_cookie_reaches_the_slow_parser_of_python(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    read: list[str] = []
    monkeypatch.setattr("http.cookies._unquote", lambda value: read.append(value) or value)
    with client_of(pawsort, token=TOKEN) as client:
        sent = {"Cookie": f'a[b]=1; {name}="{chr(92) * 1000}"; pawsort_name=Ann', **HTML}
        assert client.get("/login", headers=sent).status_code == 200
    assert set(read) <= {"Ann"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_token_may_have_letters_beyond_ascii(encoding: str) -> None:
    token = "gehêim-und-länger-als-nötig"
    headers = Headers(raw=[(b"authorization", b"Bearer " + token.encode(encoding))])
    assert bearer(headers) == token


def test_the_form_leaves_a_cookie_that_is_not_the_token(pawsort: Installation) -> None:
    with client_of(pawsort, token=TOKEN) as client:
        answer = client.post("/login", data={"token": TOKEN, "next": "/"}, follow_redirects=False)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        assert session_of(client)
        assert client.get("/", headers=HTML, follow_redirects=False).status_code == 200
        client.post("/logout")
        assert client.get("/", headers=HTML, follow_redirects=False).status_code == 303


@pytest.mark.fault(113)
def test_a_wrong_token_is_refused_and_appears_nowhere(
    pawsort: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "httpx")
    caplog.set_level(logging.DEBUG, "pipeline")  # the last one sets what is heard at all
    with client_of(pawsort, token=TOKEN) as client:
        answer = client.post("/login", data={"token": "a guess of mine"})
        client.get("/login?token=a+guess+of+mine")
    assert answer.status_code == 401 and "set-cookie" not in answer.headers
    assert "GET /login 200" in caplog.text
    assert "a guess" not in caplog.text and "a+guess" not in caplog.text


# --- bodies ---------------------------------------------------------------------------------------------


@pytest.mark.fault(107)
def test_a_form_may_not_be_large(visitor: TestClient) -> None:
    answer = visitor.post("/login", data={"token": "x" * 300_000})
    assert answer.status_code == 413


@pytest.mark.fault(113)
def test_a_path_with_a_newline_is_one_line_of_the_log(
    client: TestClient, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline import logs

    before = logging.getLogger().handlers[:], logging.getLogger().level
    logs.set_up(level="debug")
    try:
        client.get("/x%0aWARNING%20all%20is%20lost")
    finally:
        logging.getLogger().handlers[:], logging.getLogger().level = before[0], before[1]
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "lost" in line and "HTTP Request" not in line
    ]
    assert len(lines) == 1 and r"/x\nWARNING" in lines[0]


@pytest.mark.fault(113)
def test_a_line_of_the_log_is_short_whatever_is_asked_for(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pipeline")
    client.request("X" * 5000, "/" + "y" * 20_000)
    [line] = [record.getMessage() for record in caplog.records if record.name.startswith("pipeline")]
    assert len(line) < 300 and "20001 characters" in line


@pytest.mark.fault(113)
@pytest.mark.parametrize("path", ["/nowhere", "/login", "/api/results/1", "/healthz"])
def test_requests_that_need_no_token_do_not_fill_the_log(
    pawsort: Installation, caplog: pytest.LogCaptureFixture, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "LINES_SECONDS", 1e9)  # a busy machine takes longer than one period
    caplog.set_level(logging.DEBUG, "pipeline")
    with client_of(pawsort, token=TOKEN) as client:
        for _ in range(3 * request_log.LINES):
            client.get(path)
    lines = [record for record in caplog.records if record.name == "pipeline.web.middleware.guard"]
    assert len(lines) == request_log.LINES


@pytest.mark.fault(113)
def test_lines_that_were_not_written_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    now = 0.0
    lines = request_log.Lines(lambda: now)
    assert sum(lines.may_write() for _ in range(120)) == request_log.LINES
    now = request_log.LINES_SECONDS
    assert lines.may_write()
    assert caplog.messages == ["70 more requests that were refused or need no token were not logged"]
