"""Lists as Excel workbooks, which are written before they are sent."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from openpyxl import load_workbook

from db.connection.errors import DatabaseUnavailable
from db.queries import listing
from models.installation import install_command
from pipeline.export.tables import COLUMNS
from pipeline.office import packages
from pipeline.web.downloads import excel
from pipeline.web.middleware.busy import HAS_ENDED
from pipeline.web.middleware.problems import Problem
from pipeline.web.routes.browse import many
from tests.pipeline.web.conftest import HTML, TestClient
from tests.support.installation import Installation

LISTS = ("/browse/export?format=xlsx", "/api/export?format=xlsx")


@pytest.fixture
def three(pawsort: Installation) -> Installation:
    """Three photos, one of which is a dog."""
    for name, outcome in ((b"1", "cats"), (b"2", "dogs"), (b"3", "cats")):
        pawsort.file(name, name, outcome)
    return pawsort


def test_a_workbook_is_sent_with_its_length_and_its_files_go(client: TestClient, three: Installation) -> None:
    for path in LISTS:
        got = client.get(path)
        assert got.headers["content-length"] == str(len(got.content))
        assert got.headers["content-type"] == excel.XLSX
        assert load_workbook(io.BytesIO(got.content)).active.max_row == 4
        assert client.head(path).headers["content-type"] == excel.XLSX
    assert list((three.settings.state / "looking").iterdir()) == []


def test_a_list_that_is_too_long_is_refused_before_anything_is_written(
    client: TestClient, three: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel, "MOST_ROWS", 2)
    for path in LISTS:
        got = client.get(path)
        assert got.status_code == 422 and "more than 2 rows" in got.json()["error"]
        assert got.json()["what_to_do"].startswith("Use CSV for more")
        assert client.get(f"{path}&outcome=cats").status_code == 200
    assert "Use CSV for more" in client.get(LISTS[0], headers=HTML).text
    assert len(list(csv.DictReader(io.StringIO(client.get("/api/export").text)))) == 3


def test_without_openpyxl_a_list_for_excel_says_what_to_install(
    client: TestClient, three: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    for path in LISTS:
        got = client.get(path)
        assert got.status_code == 503 and f"run `{install_command(extra='excel')}`" in got.json()["error"]
    assert client.get("/api/export").status_code == 200


def test_only_some_workbooks_are_written_at_once(
    client: TestClient, three: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = threading.BoundedSemaphore(1)
    monkeypatch.setattr(excel, "_slots", slots)
    with slots:
        got = client.get(LISTS[1])
        assert got.status_code == 503 and int(got.headers["retry-after"]) > 0
        assert "try again" in got.json()["what_to_do"].lower()
    assert client.get(LISTS[1]).status_code == 200
    assert client.get(LISTS[1]).status_code == 200, "the first one has freed its place"


def test_a_database_that_fails_while_a_workbook_is_written_is_said(
    client: TestClient, three: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, results = iter(range(9)), listing.results

    def failing(*wanted: Any) -> Iterator[dict[str, Any]]:
        if next(calls) == 1:
            raise DatabaseUnavailable("the database is locked")
        yield from results(*wanted)

    monkeypatch.setattr(many.listing, "results", failing)
    got = client.get(LISTS[1])
    assert (got.status_code, got.json()["error"]) == (503, "the database is locked")
    assert list((three.settings.state / "looking").iterdir()) == []


@pytest.mark.parametrize("half", [False, True], ids=["all", "half"])
def test_a_workbook_whose_client_has_left_is_not_written_to_its_end(
    pawsort: Installation, half: bool
) -> None:
    read, begun, sent = 0, threading.Event(), []

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal read
        for read in range(1, 5_001):
            yield dict.fromkeys(COLUMNS, "x" if read > 10 else None)
            begun.set()

    async def receive() -> dict[str, Any]:
        await (asyncio.Event().wait() if half else asyncio.to_thread(begun.wait))
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    context: Any = SimpleNamespace(settings=pawsort.settings)
    scope = {"type": "http", HAS_ENDED: lambda: half and begun.is_set()}
    with pytest.raises(Problem, match="left"):
        asyncio.run(excel._Excel(context, rows, {})(scope, receive, send))
    assert 0 < read < 5_000 and sent == []
    assert list((pawsort.settings.state / "looking").iterdir()) == []
    assert excel._slots.acquire(blocking=False), "the place is free again"
    excel._slots.release()
