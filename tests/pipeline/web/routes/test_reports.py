from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from datetime import date, time
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect

from pipeline.reports.daily import Reporter
from pipeline.web.services import report_files
from tests.pipeline.web.conftest import HTML, TestClient, made_app
from tests.support.installation import START, Installation

OUTCOMES = ("cats", "dogs", "uncertain", "failed")


@pytest.fixture
def reports(pawsort: Installation) -> Path:
    """A report of the 21st, of one cat and one dog."""
    pawsort.file(b"a.jpg")
    pawsort.file(b"b.jpg", b"dog", "dogs")
    settings = pawsort.settings
    reporter = Reporter(pawsort.engine, settings.reports, settings.report.zone, time(0, 10), OUTCOMES)
    reporter.write_day(date(2026, 11, 21), START)
    return settings.reports


def test_a_day_is_shown_as_a_chart_and_a_table(client: TestClient, reports: Path) -> None:
    text = client.get("/reports", headers=HTML).text
    assert 'role="img"' in text and "21 Nov: 1 cats, 1 dogs" in text
    assert 'href="/reports/summary-2026-11-21.csv"' in text
    assert "50 %" in text and "90 %" in text


def test_a_report_is_taken_away_as_the_file_it_is(client: TestClient, reports: Path) -> None:
    for name in ("summary-2026-11-21.csv", "images-2026-11-21.csv", "latest-summary.csv"):
        response = client.get(f"/reports/{name}")
        assert response.content == (reports / name).read_bytes()
        assert response.headers["content-type"].startswith("text/csv")
        assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.fault(107)
@pytest.mark.parametrize("least", [0, 1, 2])
def test_a_download_that_its_client_ends_leaves_no_file_open(
    pawsort: Installation, reports: Path, least: int
) -> None:
    large = reports / "images-2026-11-21.csv"
    large.write_bytes(b"x" * 3_000_000)
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        while len(sent) < least:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        if len(sent) == least:
            raise OSError("the client has left")
        sent.append(message)

    gc.disable()  # it would close the file at some time
    try:
        with contextlib.suppress(OSError, ClientDisconnect):
            asyncio.run(made_app(pawsort.settings)(_asked(f"/reports/{large.name}"), receive, send))
        assert len(sent) == least
        assert str(large) not in map(_target, os.listdir("/proc/self/fd"))
    finally:
        gc.enable()


def _asked(path: str) -> dict[str, object]:
    here = "127.0.0.1", 8420
    return {
        "type": "http", "http_version": "1.1", "scheme": "http", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "client": here, "server": here,
        "headers": [(b"host", b"127.0.0.1:8420")],
    }  # fmt: skip


def _target(descriptor: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # that of the listing itself
        return ""


@pytest.mark.fault(106)
@pytest.mark.parametrize(
    "name",
    [
        "secret.csv", "..%2f..%2fetc%2fpasswd", "%2e%2e/config.yaml", ".summary-2026-11-21.csv.1.tmp",
        "summary-2026-11-21.csv%00", "summary-2026-11-21.csv%0a", "summary-２026-11-21.csv", "config.yaml",
    ],
)  # fmt: skip
def test_nothing_else_in_or_outside_the_folder_is_given(client: TestClient, reports: Path, name: str) -> None:
    (reports / "secret.csv").write_text("secret")
    assert client.get(f"/reports/{name}").status_code in (404, 405)


@pytest.mark.fault(106)
def test_a_link_or_a_pipe_in_the_place_of_a_report_leads_nowhere(client: TestClient, reports: Path) -> None:
    secret = reports.parent / "secret"
    secret.write_text("secret")
    (reports / "summary-2026-01-01.csv").symlink_to(secret)
    os.mkfifo(reports / "summary-2026-01-02.csv")
    (reports / "summary-2026-01-03.csv").mkdir()
    for day in (1, 2, 3):
        assert client.get(f"/reports/summary-2026-01-0{day}.csv").status_code == 404
    assert [day.day for day in report_files.days(reports)] == ["2026-11-21"]


def test_a_damaged_summary_is_not_an_internal_error(client: TestClient, reports: Path) -> None:
    rows = b"inbox,outcome,images,share\n<b>,'=cats,x,nan,too,many\n\xff,dogs\n"
    (reports / "summary-2026-11-22.csv").write_bytes(rows)
    (reports / "summary-2026-11-23.csv").write_bytes(b"\x00" * 100)
    page = client.get("/reports?day=2026-11-22", headers=HTML)
    assert page.status_code == 200
    assert "<b>" not in page.text
    assert client.get("/reports?day=2026-11-23", headers=HTML).status_code == 200


def test_a_day_without_reports_is_said(client: TestClient, reports: Path) -> None:
    assert client.get("/reports?day=2020-01-01", headers=HTML).status_code == 404
    assert client.get("/reports?day=../x", headers=HTML).status_code == 404


def test_where_there_is_no_report_the_page_says_how_to_get_one(visitor: TestClient) -> None:
    assert "pawsort report" in visitor.get("/reports", headers=HTML).text
