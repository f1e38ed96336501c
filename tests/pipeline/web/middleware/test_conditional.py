"""HTTP as RFC 9110 and RFC 9457 say: HEAD, conditional GET, OPTIONS, Allow, and errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, time

import pytest
from starlette.datastructures import Headers

from pipeline.reports.daily import Reporter
from pipeline.web.middleware.conditional import is_fresh
from pipeline.web.middleware.etags import tags_in
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import START, Installation
from tests.support.pictures import encode, scene

WITH_ETAG = (
    "/pictures/1/small", "/pictures/1/large", "/reports/summary-2026-11-21.csv", "/reports/latest-images.csv",
    "/static/pawsort.css", "/api/results/1",
)  # fmt: skip
OTHERS = (
    "/", "/review", "/check", "/browse", "/files/1", "/today", "/today/now", "/reports", "/models",
    "/models/cats_dogs",
    "/api/results", "/api/status", "/api/models", "/api/openapi.json", "/metrics", "/healthz", "/login",
)  # fmt: skip
MISSING = (
    "/files/99",
    "/files/x",
    "/api/results/99",
    "/api/results/x",
    "/nowhere",
    "/api/nowhere",
    "/reports/x",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    pawsort = Installation(tmp_path_factory.mktemp("site"))
    pawsort.file(b"a.jpg", encode(scene(), "JPEG"))
    settings = pawsort.settings
    reporter = Reporter(pawsort.engine, settings.reports, settings.report.zone, time(0, 10), ("cats",))
    reporter.write_day(date(2026, 11, 21), START)
    with client_of(pawsort) as client:
        yield client
    pawsort.close()


@pytest.mark.parametrize("path", [*WITH_ETAG, *OTHERS, *MISSING])
def test_head_is_answered_like_get_but_for_the_body(site: TestClient, path: str) -> None:
    get, head = site.get(path, headers=HTML), site.head(path, headers=HTML)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert set(head.headers) == set(get.headers)
    same = ("content-type", "etag", "cache-control", "content-security-policy")
    assert [head.headers.get(name) for name in same] == [get.headers.get(name) for name in same]


@pytest.mark.parametrize("path", WITH_ETAG)
def test_what_a_client_has_is_not_sent_again(site: TestClient, path: str) -> None:
    first = site.get(path)
    etag = first.headers["etag"]
    for value in (etag, f"W/{etag}", f'"x", W/{etag}', "*", " * ", f'"a",,{etag} ,'):
        for method in ("GET", "HEAD"):
            again = site.request(method, path, headers={"If-None-Match": value})
            assert (again.status_code, again.content) == (304, b""), value
            assert again.headers["etag"] == etag
            assert again.headers["cache-control"] == first.headers["cache-control"]
            assert not {"content-length", "content-type"} & set(again.headers)
    two = site.get(path, headers=[("If-None-Match", '"x"'), ("If-None-Match", etag)])
    assert two.status_code == 304


@pytest.mark.parametrize("path", WITH_ETAG)
@pytest.mark.parametrize("value", ['"other"', 'W/"other"', "nonsense", '"', "", '"x", "y"'])
def test_what_a_client_has_not_is_sent(site: TestClient, path: str, value: str) -> None:
    answer = site.get(path, headers={"If-None-Match": value})
    assert (answer.status_code, bool(answer.content)) == (200, True)


def test_a_missing_file_is_missing_whatever_the_condition(site: TestClient) -> None:
    assert site.get("/api/results/99", headers={"If-None-Match": "*"}).status_code == 404


@pytest.mark.parametrize("path", ["/reports/summary-2026-11-21.csv", "/static/pawsort.css"])
def test_a_file_is_not_sent_again_to_a_client_with_a_current_copy(site: TestClient, path: str) -> None:
    changed = site.get(path).headers["last-modified"]
    assert site.get(path, headers={"If-Modified-Since": changed}).status_code == 304
    old = {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert site.get(path, headers=old).status_code == 200
    both = {"If-Modified-Since": changed, "If-None-Match": '"other"'}
    assert site.get(path, headers=both).status_code == 200, "If-None-Match counts alone"


@pytest.mark.parametrize(
    "date", ["yesterday", "", "Thu, 99 Xyz 99999 00:00:00 GMT", "Thu, 01 Jan 0000 00:00:00 +9999"]
)
def test_an_invalid_date_is_ignored(date: str) -> None:
    response = Headers({"last-modified": "Thu, 01 Jan 1970 00:00:00 GMT"})
    assert not is_fresh(Headers({"if-modified-since": date}), response)


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("*", ("*",)), ('"a"', ('"a"',)), ('W/"a", "b"', ('W/"a"', '"b"')), ('"a,b"', ('"a,b"',)),
        ('""', ('""',)), ('w/"a"', None),
        ("a", None), ('"a', None), ("", None), (",", None), ('*, "a"', None), ('"a" "b"', None),
    ],
)  # fmt: skip
def test_tags_are_read_as_the_standard_writes_them(header: str, tags: tuple[str, ...] | None) -> None:
    assert tags_in(header) == tags


def test_reading_tags_takes_no_longer_for_a_hostile_header() -> None:
    for header in ('"a",' * 8000 + "x", '"a"' + "," * 8000 + "x", '"a"' + ", " * 8000 + '"', '"' * 8001):
        assert tags_in(header) is None
    assert tags_in("tag") is None and tags_in('tag, "a"') is None


def test_a_report_that_is_not_sent_is_closed(site: TestClient) -> None:
    path = "/reports/summary-2026-11-21.csv"
    etag = site.get(path).headers["etag"]
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        site.head(path)
        site.get(path, headers={"If-None-Match": etag})
    assert len(os.listdir("/proc/self/fd")) <= before + 2


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/results/1", "GET, HEAD, OPTIONS"), ("/api/results/1/correction", "POST, DELETE, OPTIONS"),
        ("/api/inbox", "POST, OPTIONS"), ("/static/pawsort.css", "GET, HEAD, OPTIONS"),
        ("/login", "GET, POST, HEAD, OPTIONS"), ("/files/1/undo", "POST, OPTIONS"),
    ],
)  # fmt: skip
def test_a_method_that_an_address_does_not_take_is_answered_with_those_that_it_takes(
    site: TestClient, path: str, methods: str
) -> None:
    for method in ("PUT", "PATCH", "TRACE", "BREW"):
        answer = site.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert answer.headers["content-type"] == "application/problem+json"
    asked = site.options(path)
    assert (asked.status_code, asked.headers["allow"], asked.content) == (204, methods, b"")
    assert site.options("/api/nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/api/results/", "/files/1/?x=%20y", "/browse//", "/files/1/undo/"])
def test_a_last_slash_leads_to_the_address_without_it(site: TestClient, path: str) -> None:
    method = "POST" if "undo" in path else "GET"
    answer = site.request(method, path, follow_redirects=False)
    short = path.replace("//", "/").replace("/?", "?").removesuffix("/")
    assert (answer.status_code, answer.headers["location"]) == (307, short)


@pytest.mark.parametrize("path", ["//example.org/", "/nowhere/", "//", "/api/"])
def test_a_slash_behind_nothing_leads_nowhere(site: TestClient, path: str) -> None:
    answer = site.get(f"http://127.0.0.1:8420{path}", follow_redirects=False)
    assert answer.status_code in (404, 422)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nowhere", 404), ("GET", "/api", 404), ("PUT", "/api/results", 405),
        ("GET", "/api/results/x", 422), ("GET", "/api/results/99", 404), ("POST", "/api/inbox", 415),
        ("POST", "/api/results/1/correction", 422), ("GET", "/api/results?limit=0", 422),
    ],
)  # fmt: skip
def test_errors_are_problem_details(site: TestClient, method: str, path: str, status: int) -> None:
    answer = site.request(method, path, headers=HTML)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["title"] and problem["detail"] == problem["error"] and problem["what_to_do"]
    if status == 422:
        assert problem["errors"][0]["in"] in ("path", "query", "body")


def test_a_body_that_is_too_large_and_a_missing_token_are_problem_details(pawsort: Installation) -> None:
    with client_of(pawsort, token="0123456789abcdef") as client:
        refused = client.get("/api/results", headers=HTML)
        known = {"Authorization": "Bearer 0123456789abcdef"}
        large = client.post("/api/results/1/correction", content=b"x" * 300_000, headers=known)
    for answer, status in ((refused, 401), (large, 413)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html", True), ("application/xhtml+xml, TEXT/HTML;q=0.9", True), ("text/html;q=0, */*", False),
        ("text/html; q=0.0", False), ("application/json", False), ("*/*", False), ("", False),
        ("text/htmlx", False),
    ],
)  # fmt: skip
def test_an_error_is_a_page_for_clients_that_accept_html(site: TestClient, accept: str, page: bool) -> None:
    kind = site.get("/files/99", headers={"Accept": accept}).headers["content-type"]
    assert kind.startswith("text/html") == page
