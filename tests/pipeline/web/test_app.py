from __future__ import annotations

from types import SimpleNamespace

import pytest
from fastapi import APIRouter

from models.calibration import wilson
from pipeline.settings.sections import NotifySettings
from pipeline.web.app import create_app
from pipeline.web.services.context import Page
from pipeline.web.views.formatting import moment, percent, size
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import START, Installation


def test_the_navigation_has_the_pages_that_there_are_in_their_order(pawsort: Installation) -> None:
    rooms = []
    for title, path, order in [("Later", "/later", 90), ("Soon", "/soon", 1)]:
        rooms.append(SimpleNamespace(router=APIRouter(), PAGE=Page(title, path, order)))
    site = create_app(pawsort.settings, rooms).state.context
    assert [page.title for page in site.pages] == ["Soon", "Later"]


def test_the_page_that_is_open_is_marked(visitor: TestClient) -> None:
    assert '<a href="/" aria-current="page">Try</a>' in visitor.get("/", headers=HTML).text


def test_an_address_that_is_not_there_is_answered_in_the_form_asked_for(visitor: TestClient) -> None:
    page = visitor.get("/nowhere", headers=HTML)
    assert page.status_code == 404 and "This address does not exist" in page.text
    assert visitor.get("/api/nowhere").json()["error"] == "This address does not exist."


@pytest.mark.fault(110)
def test_what_a_visitor_gives_is_escaped(visitor: TestClient) -> None:
    page = visitor.get("/login", params={"next": '/"><script>alert(1)</script>'}, headers=HTML)
    assert "<script>alert" not in page.text


@pytest.mark.fault(110)
def test_no_page_has_a_script_or_style_of_its_own(visitor: TestClient) -> None:
    for path in ("/", "/login", "/nowhere"):
        page = visitor.get(path, headers=HTML).text
        assert "<style" not in page and " style=" not in page and " onclick=" not in page
        assert page.count("<script") == page.count("<script src=")


def test_nothing_is_opened_where_no_worker_has_been(visitor: TestClient) -> None:
    assert visitor.get("/", headers=HTML).status_code == 200


def test_shares_times_and_sizes_read_well() -> None:
    assert [percent(share) for share in (None, 0, 0.00001, 0.5, 0.9999, 1)] == [
        "–", "0 %", "0.1 %", "50 %", "99.9 %", "100 %",
    ]  # fmt: skip
    assert [size(count) for count in (None, 999, 1500, 2_000_000)] == ["–", "999 bytes", "1.5 kB", "2.0 MB"]
    assert str(moment(START)) == '<time datetime="2026-11-21T12:00:00+00:00">2026-11-21 12:00:00 UTC</time>'


def test_no_interval_ends_before_its_share() -> None:
    for count in range(1, 60):
        for right in range(count + 1):
            low, high = wilson(right, count)
            written = [float(percent(part).split()[0]) for part in (low, right / count, high)]
            assert written == sorted(written), (right, count)
    assert [percent(share) for share in (0.9999999999999999, 1e-17)] == ["100 %", "0 %"]


@pytest.mark.parametrize("range", ["bytes=5-1", "bytes=a", "items=0-1", "", "bytes=99999999-", "bytes=0-9"])
def test_the_files_of_pages_are_sent_whole_whatever_range_is_asked_for(
    client: TestClient, range: str
) -> None:
    whole = client.get("/static/pawsort.css")
    found = client.get("/static/pawsort.css", headers={"Range": range})
    assert (found.status_code, found.content) == (200, whole.content)
    assert "accept-ranges" not in found.headers


@pytest.mark.parametrize("path", ["/today", "/today/now", "/api/status", "/reports"])
def test_a_folder_that_cannot_be_read_is_named_and_no_defect(
    pawsort: Installation, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    settings = pawsort.settings
    (settings.state / "heartbeat.json").mkdir()
    settings.reports.rmdir()
    settings.reports.touch()
    with client_of(pawsort) as client:
        for headers in (HTML, {}):
            answered = client.get(path, headers=headers)
            assert answered.status_code == 503 and answered.headers["retry-after"]
            assert str(settings.base) in answered.text and "defect" not in answered.text
    assert "Traceback" not in caplog.text and str(settings.base) in caplog.text


@pytest.mark.fault(84)
@pytest.mark.parametrize(
    "path", ["/review", "/check", "/browse", "/today", "/api/results", "/pictures/1/small"]
)
def test_a_database_that_vanishes_while_the_pages_run_is_missed(pawsort: Installation, path: str) -> None:
    pawsort.file(b"a.jpg", outcome="uncertain")
    with client_of(pawsort) as client:
        assert client.get("/review").status_code == 200
        pawsort.close()
        for file in pawsort.settings.state.glob("pawsort.db*"):
            file.unlink()
        for _ in range(2):
            answered = client.get(path)
            assert answered.status_code == 503 and "There is no database" in answered.text
        pawsort.prepare()
        assert client.get("/review").status_code == 200


def test_each_page_says_whether_other_hosts_are_contacted(pawsort: Installation) -> None:
    with client_of(pawsort) as client:
        assert "contacts no other host.</span>" in client.get("/review", headers=HTML).text
    pawsort.settings = pawsort.settings.model_copy(
        update={"notify": NotifySettings(heartbeat_url="https://example.org/alive")}
    )
    with client_of(pawsort) as client:
        shown = client.get("/review", headers=HTML).text
    assert "contacts no other host but those of its alerts.</span>" in shown
