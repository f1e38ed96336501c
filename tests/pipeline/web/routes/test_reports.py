from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import sys
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from pipeline.reports.daily import Reporter
from pipeline.web.routes import reports as reports_page
from pipeline.web.services import report_files
from pipeline.web.services.write_report import ReportWriter
from tests.pipeline.web.conftest import HTML, TestClient, made_app
from tests.support.installation import START, Installation, wait

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
        "report-2026-11-21.exe", "months", "months/../config.yaml", "months%2f..%2fconfig.yaml",
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


def test_the_median_is_that_of_the_number_that_is_shown(client: TestClient, pawsort: Installation) -> None:
    scores = {"cat": 0.004, "dog": 0.003, "neither": 0.993}
    pawsort.file(b"pizza.jpg", b"pizza", "uncertain", scores=scores, confidence=0.004, reason="neither")
    settings = pawsort.settings
    reporter = Reporter(pawsort.engine, settings.reports, settings.report.zone, time(0, 10), OUTCOMES)
    reporter.write_day(date(2026, 11, 21), START)
    text = client.get("/reports", headers=HTML).text
    assert "99.3 %" in text and "0.4 %" not in text
    # A report from before the column was there:
    path = settings.reports / "summary-2026-11-21.csv"
    path.write_text("".join(line.rsplit(",", 2)[0] + "\n" for line in path.read_text().splitlines()))
    text = client.get("/reports", headers=HTML).text
    assert "99.3 %" not in text and "0.4 %" not in text


FILES = {
    "report-2026-11-21.html": "text/html; charset=utf-8",
    "report-2026-11-21.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "excel-images-2026-11-21.csv": "text/csv; charset=utf-8",
    "drift-2026-11-21.csv": "text/csv; charset=utf-8",
    "months/summary-2026-11.csv": "text/csv; charset=utf-8",
    "years/report-2026.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def test_each_file_for_an_office_is_listed_and_taken_away_with_its_type(
    client: TestClient, reports: Path
) -> None:
    for name in FILES:
        (reports / name).parent.mkdir(exist_ok=True)
        (reports / name).write_bytes(name.encode())
    text = client.get("/reports", headers=HTML).text
    for name, kind in FILES.items():
        assert f'href="/reports/{name}" download' in text
        response = client.get(f"/reports/{name}")
        assert (response.content, response.headers["content-type"]) == (name.encode(), kind)
        assert response.headers["content-disposition"] == f'attachment; filename="{name.rpartition("/")[2]}"'
    assert "<th>Drift</th>" in text and "<th>Page</th>" in text and "<th>Images for Excel</th>" in text


@pytest.mark.fault(106)
def test_a_folder_of_months_that_is_a_link_leads_nowhere(client: TestClient, reports: Path) -> None:
    elsewhere = reports.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "summary-2026-11.csv").write_text("secret")
    (reports / "months").symlink_to(elsewhere)
    assert client.get("/reports/months/summary-2026-11.csv").status_code == 404
    for name in ("years/summary-2026-11.csv", "months/config.yaml", "elsewhere/summary-2026-11.csv"):
        assert client.get(f"/reports/{name}").status_code == 404


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The time of the pages, some days after the report."""
    now = START + timedelta(days=4)
    monkeypatch.setattr(reports_page, "_now", lambda: now)
    return now


def writing_by(client: TestClient, pawsort: Installation, code: str, wait_seconds: float = 20.0) -> None:
    """Let the pages write reports by a program, which gets `--date` and a day."""
    app: Any = client.app
    command = [sys.executable, "-I", "-S", "-c", code, str(pawsort.settings.reports)]
    context = app.state.context
    app.state.context = replace(context, report_writer=ReportWriter(command, wait_seconds))


WRITE = "import sys; open(sys.argv[1] + f'/summary-{sys.argv[3]}.csv', 'w').write('inbox,outcome,images\\n')"


def test_a_report_is_written_now_of_today_or_of_a_day_that_has_none(
    client: TestClient, pawsort: Installation, reports: Path, later: datetime
) -> None:
    assert 'action="/reports/write"' not in client.get("/reports", headers=HTML).text, "without a command"
    writing_by(client, pawsort, WRITE)
    page = client.get("/reports", headers=HTML).text
    assert f'value="{later.date()}"' in page
    assert re.findall("Write (2026-.*?)<", page) == ["2026-11-24", "2026-11-23", "2026-11-22"]
    for day in ("", "2026-11-22"):
        answer = client.post("/reports/write", data={"day": day}, headers=HTML, follow_redirects=False)
        shown = day or str(later.date())
        assert (answer.status_code, answer.headers["location"]) == (303, f"/reports?day={shown}#day")
        assert (reports / f"summary-{shown}.csv").exists()
    page = client.get("/reports", headers=HTML).text
    assert re.findall("Write (2026-.*?)<", page) == ["2026-11-24", "2026-11-23"]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize(
    ("day", "said"), [("2026-02-30", "expected a day"), ("1999-01-01", "nothing"), ("2999-01-01", "nothing")]
)
def test_no_report_is_written_of_a_day_that_cannot_have_photos(
    client: TestClient, pawsort: Installation, reports: Path, day: str, said: str
) -> None:
    writing_by(client, pawsort, WRITE)
    answer = client.post("/reports/write", data={"day": day}, headers=HTML)
    assert answer.status_code == 422 and said in answer.text
    assert len(list(reports.glob("summary-*"))) == 1


@pytest.mark.usefixtures("later")
def test_why_a_report_could_not_be_written_is_said(
    client: TestClient, pawsort: Installation, reports: Path
) -> None:
    writing_by(client, pawsort, "raise SystemExit('pawsort: <b>the disk is full')")
    answer = client.post("/reports/write", headers=HTML)
    assert answer.status_code == 409
    assert "was not written: &lt;b&gt;the disk is full" in answer.text


@pytest.mark.usefixtures("later")
def test_one_report_is_written_at_a_time_and_a_slow_one_goes_on(
    client: TestClient, pawsort: Installation, reports: Path
) -> None:
    fifo = reports / "fifo"
    os.mkfifo(fifo)
    slow_one = "import signal, sys; signal.alarm(60); open(sys.argv[1] + '/fifo').read()"
    writing_by(client, pawsort, slow_one, wait_seconds=0.0)
    slow = client.post("/reports/write", headers=HTML)
    assert slow.status_code == 200 and "A report is being written" in slow.text
    second = client.post("/reports/write", headers=HTML)
    assert second.status_code == 409 and "is being written already" in second.text
    fifo.write_text("go on")
    writer: ReportWriter = client.app.state.context.report_writer  # type: ignore[attr-defined]
    wait(lambda: not writer.is_writing)
    assert client.post("/reports/write", headers=HTML).status_code == 200
    fifo.write_text("go on")
    wait(lambda: not writer.is_writing)


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
