"""Originals, archives and lists that visitors and clients download."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from db.connection.errors import DatabaseUnavailable
from db.queries.listing import RESULT_COLUMNS
from pipeline.decision import SHOWN_COLUMNS
from pipeline.web.routes.browse import many
from tests.pipeline.web.conftest import HTML, TestClient
from tests.pipeline.web.routes.browse.conftest import chosen
from tests.support.installation import Installation


def test_an_original_is_sent_as_it_is_under_its_name(client: TestClient, pawsort: Installation) -> None:
    content = os.urandom(600_000)
    id = pawsort.file('Möhre "1".jpg'.encode(), content)
    for path in (f"/files/{id}/original", f"/api/results/{id}/original"):
        got = client.get(path)
        assert got.content == content and got.headers["content-length"] == "600000"
        assert got.headers["content-type"] == "application/octet-stream"
        assert got.headers["content-disposition"] == (
            "attachment; filename=\"M_hre _1_.jpg\"; filename*=UTF-8''M%C3%B6hre%20%221%22.jpg"
        )
        again = client.get(path, headers={"If-None-Match": got.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(path).content == b""


def test_an_original_that_is_gone_or_a_link_is_refused(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    path = pawsort.settings.sorted / "cats/a.jpg"
    path.unlink()
    gone = client.get(f"/files/{id}/original")
    assert (gone.status_code, gone.json()["error"]) == (404, "a.jpg cannot be read: it is gone.")
    path.symlink_to("/etc/passwd")
    assert client.get(f"/files/{id}/original").status_code == 404
    assert client.get("/files/99/original").status_code == 404


def test_selected_photos_are_sent_as_a_zip_file(
    client: TestClient, pawsort: Installation, five: list[int]
) -> None:
    (pawsort.settings.sorted / "uncertain/4.jpg").unlink()
    page = client.post("/browse/zip", data={"file": chosen(five)})
    api = client.post("/api/zip", json={"ids": five})
    for got in (page, api):
        assert got.headers["content-type"] == "application/zip"
        assert got.headers["content-disposition"].startswith('attachment; filename="pawsort-photos-')
        with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
            assert archive.testzip() is None
            assert archive.read("uncertain/2.jpg") == b"photo 2"
            assert b"4.jpg: it is gone" in archive.read("not included.txt")
    assert client.post("/api/zip", json={"ids": [99]}).status_code == 404


@pytest.fixture
def listed(pawsort: Installation) -> Installation:
    """Three photos with names that spreadsheets and parsers misread."""
    pawsort.file(b"007", b"1", taken_at="2024-01-31T10:15:00", scores={"cat": 0.9}, width=640)
    pawsort.file(b"=1+1", b"2", "dogs", prediction="dog", scores={"dog": 0.9, "cat": 0.1})
    pawsort.file("Müller, Straße.jpg".encode(), b"3", outcome="failed", reason="truncated", prediction=None)
    return pawsort


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_filtered_list_is_exported_as_csv_that_pandas_reads(
    client: TestClient, listed: Installation
) -> None:
    pandas = pytest.importorskip("pandas")
    got = client.get("/browse/export?format=csv")
    assert got.headers["content-type"].startswith("text/csv")
    assert got.content.startswith(b"\xef\xbb\xbf"), "so that spreadsheets read the umlauts"
    frame = pandas.read_csv(io.BytesIO(got.content), parse_dates=["seen_at", "taken_at"], dtype={"name": str})
    assert list(frame.columns) == [*RESULT_COLUMNS, *SHOWN_COLUMNS]
    assert list(frame["name"]) == ["Müller, Straße.jpg", "'=1+1", "007"]
    assert frame["seen_at"].dt.tz is not None and str(frame["taken_at"].iloc[2]) == "2024-01-31 10:15:00"
    assert frame["bytes"].dtype == "int64" and frame["shown_probability"].dtype == "float64"
    for query, names in {
        "outcome=dogs": ["'=1+1"], "reason=truncated": ["Müller, Straße.jpg"], "model=other": [],
        "corrected=no&name=007": ["007"], "corrected=yes": [], "taken_first=2024-01-01": ["007"],
    }.items():  # fmt: skip
        text = client.get(f"/browse/export?{query}").text.removeprefix("\ufeff")
        assert [row["name"] for row in rows_of(text)] == names, query


def test_the_list_is_exported_as_a_workbook_with_types(client: TestClient, listed: Installation) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    for got in (client.get("/browse/export?format=xlsx"), client.get("/api/export?format=xlsx")):
        assert got.headers["content-disposition"].endswith(".xlsx")
        sheet = openpyxl.load_workbook(io.BytesIO(got.content)).active
        header, *rows = sheet.iter_rows(values_only=True)
        found: list[dict[str, Any]] = [dict(zip(header, row, strict=True)) for row in rows]
        assert [row["name"] for row in found] == ["Müller, Straße.jpg", "=1+1", "007"]
        assert all(type(row["name"]) is str for row in found)
        assert found[2]["taken_at"].isoformat() == "2024-01-31T10:15:00"
        assert found[2]["seen_at"].year == 2026 and found[2]["width"] == 640
        assert found[1]["shown_probability"] == 0.9
        assert sheet["B3"].data_type == "s"


def test_selected_rows_are_exported_and_the_api_takes_the_filters_of_results(
    client: TestClient, listed: Installation
) -> None:
    got = client.post("/browse/export", data={"file": ["1:0", "3:0"], "format": "csv"})
    assert [row["id"] for row in rows_of(got.text.removeprefix("\ufeff"))] == ["1", "3"]
    got = client.get("/api/export?prediction=dog")
    assert [row["name"] for row in rows_of(got.text)] == ["'=1+1"], "no byte order mark for programs"
    assert client.get("/api/export?format=ods").status_code == 422
    assert client.get("/api/export?limit=1").status_code == 200


def test_a_database_that_cannot_be_read_is_said_before_a_list_begins(
    client: TestClient, listed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Iterator[dict[str, Any]]:
        raise DatabaseUnavailable("the database is locked")
        yield {}

    monkeypatch.setattr(many.listing, "results", refused)
    for path in ("/browse/export", "/api/export?format=xlsx"):
        got = client.get(path)
        assert (got.status_code, got.json()["error"]) == (503, "the database is locked")


def test_the_picture_in_full_is_the_original_where_browsers_know_its_format(
    client: TestClient, pawsort: Installation
) -> None:
    from tests.support.pictures import encode, scene

    jpeg, tiff = encode(scene(64), "JPEG"), encode(scene(64), "TIFF")
    ids = [pawsort.file(b"a.jpg", jpeg), pawsort.file(b"b.tif", tiff, format="TIFF")]
    first, second = (client.get(f"/pictures/{id}/full") for id in ids)
    assert (first.content, first.headers["content-type"]) == (jpeg, "image/jpeg")
    assert "content-disposition" not in first.headers
    assert second.headers["content-type"] == "image/jpeg" and second.content[:2] == b"\xff\xd8"
    os.unlink(os.path.join(pawsort.raw_sorted, b"cats/a.jpg"))
    assert client.get(f"/pictures/{ids[0]}/full").json()["error"] == "This file cannot be shown: it is gone."


def test_a_photo_that_is_gone_says_so_and_offers_nothing_that_cannot_work(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    for path in (f"/files/{id}", f"/browse/view/{id}"):
        text = client.get(path, headers=HTML).text
        assert f"/files/{id}/original" in text and "is gone" not in text
    (pawsort.settings.sorted / "cats/a.jpg").unlink()
    for path in (f"/files/{id}", f"/browse/view/{id}"):
        text = client.get(path, headers=HTML).text
        assert "This photo is gone" in text
        assert f"/files/{id}/original" not in text and f"/files/{id}/correct" not in text
        assert f"/pictures/{id}/" not in text and f"/files/{id}/undo" not in text


def test_the_view_leads_to_the_neighbours_among_the_filtered_photos(
    client: TestClient, pawsort: Installation
) -> None:
    ids = [pawsort.file(name, name) for name in (b"a1.jpg", b"b.jpg", b"a2.jpg", b"a3.jpg")]
    text = client.get(f"/browse/view/{ids[2]}?name=a", headers=HTML).text
    assert f'rel="prev" data-key="ArrowLeft" href="/browse/view/{ids[3]}?name=a"' in text
    assert f'rel="next" data-key="ArrowRight" href="/browse/view/{ids[0]}?name=a"' in text
    assert f'href="/browse?name=a#photo-{ids[2]}"' in text
    assert client.get("/browse/view/99", headers=HTML).status_code == 404


def test_folders_are_suggested_with_their_subfolders(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"Holiday/rome/a.jpg", b"1")
    (pawsort.inbox / "Holiday" / "paris").mkdir(parents=True, exist_ok=True)
    (pawsort.settings.sorted / "cats/Holiday/away").symlink_to("/etc")

    def suggested(typed: str) -> list[str]:
        found: list[str] = client.get("/browse/folders", params={"folder": typed}).json()
        return found

    assert {"Holiday", "cats"} <= set(suggested(""))
    assert suggested("hol") == ["Holiday"]
    assert suggested("Holiday/") == ["Holiday/paris", "Holiday/rome"]
    assert suggested("cats/Holiday/r") == ["cats/Holiday/rome"]
    for nothing in ("../", "/etc/", "x/../../", "Holiday/away/", "\0"[:0] + "nowhere/"):
        assert suggested(nothing) == [], nothing
    assert '<option value="Holiday">' in client.get("/browse", headers=HTML).text
