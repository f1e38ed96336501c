from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings.config import Settings
from pipeline.settings.sections import ReportSettings
from pipeline.web.routes.browse import page as browse
from pipeline.web.routes.filters import Filters, choice_of, filters_of
from tests.pipeline.web.conftest import HTML, TestClient
from tests.support.installation import Installation


def in_zone(zone: str) -> Settings:
    return Settings(base=Path("/nowhere"), report=ReportSettings(timezone=zone))


def files(text: str) -> list[int]:
    return [int(id) for id in re.findall(r'href="/files/(\d+)"', text)]


def counts(text: str) -> dict[str, str]:
    plain = re.sub(r"\s+", " ", text)
    return dict(re.findall(r'class="of \w+" href="[^"]*"[^>]*>(\w+) <span class="count">([\d,+]+)', plain))


def test_the_newest_photos_are_shown_first_with_counts_of_each_outcome(
    client: TestClient, pawsort: Installation
) -> None:
    first = pawsort.file(b"a.jpg")
    second = pawsort.file(b"b.jpg", b"dog", "dogs")
    text = client.get("/browse", headers=HTML).text
    assert files(text) == [second, first]
    assert counts(text) == {"cats": "1", "dogs": "1", "uncertain": "0", "failed": "0"}


@pytest.mark.parametrize("odd", ["%00", "a%00", "%00a", "%25", "_", "%5B", "%5C", "%ff", "*"])
def test_a_name_that_no_file_has_finds_nothing(client: TestClient, pawsort: Installation, odd: str) -> None:
    pawsort.file(b"a.jpg")
    assert files(client.get(f"/browse?name={odd}", headers=HTML).text) == []
    found = client.get(f"/api/results?name={odd}")
    assert found.status_code == 422 if "%00" in odd else found.json()["results"] == []


@pytest.mark.parametrize("field", ["outcome", "reason", "inbox", "model", "prediction", "first", "low"])
def test_a_nul_in_any_filter_causes_no_server_error(
    client: TestClient, pawsort: Installation, field: str
) -> None:
    pawsort.file(b"a.jpg")
    for path in ("/browse", "/api/results", "/review"):
        assert client.get(f"{path}?{field}=%00", headers=HTML).status_code in (200, 422)


def test_filters_in_the_address_choose_and_are_kept_in_the_form(
    client: TestClient, pawsort: Installation
) -> None:
    pawsort.file(b"rex.jpg", b"1", "dogs", confidence=0.5)
    tom = pawsort.file(b"Tom.jpg", b"2", confidence=0.99)
    text = client.get("/browse?name=TOM&low=90&high=100", headers=HTML).text
    assert files(text) == [tom]
    assert 'value="TOM"' in text and 'name="low" value="90"' in text
    assert counts(text) == {"cats": "1", "dogs": "0", "uncertain": "0", "failed": "0"}
    assert files(client.get("/browse?outcome=dogs&name=tom", headers=HTML).text) == []
    assert "No photo matches" in client.get("/browse?name=zebra", headers=HTML).text


PIZZA: dict[str, Any] = {
    "reason": "neither",
    "prediction": "cat",
    "confidence": 0.001,
    "scores": {"cat": 0.001, "dog": 0.0, "neither": 0.999},
}


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_each_photo_has_the_number_of_the_word_that_is_shown(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"pizza.jpg", b"1", "uncertain", **PIZZA)
    pawsort.file(b"tom.jpg", b"2", "uncertain", reason="low_confidence", confidence=0.62, scores=None)
    two = {"cat": 0.7, "dog": 0.2, "neither": 0.1}
    pawsort.file(b"two.jpg", b"3", "uncertain", reason="both", confidence=0.7, scores=two)
    for path in ("/browse", "/review?many=1"):
        text = words(client.get(path, headers=HTML).text)
        assert "neither 99.9 %" in text and "cat? 62 %" in text and "two classes? cat 70 %" in text, path
        assert "0.1 %" not in text and "neither?" not in text, path
    text = words(client.get(f"/files/{id}", headers=HTML).text)
    assert "Neither (closest: cat)" in text and "predicted neither with 99.9 % confidence" in text


def test_more_begins_behind_the_last_one_shown(
    client: TestClient, pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browse, "SIZE", 2)
    made = [pawsort.file(b"%d.jpg" % n, b"%d" % n) for n in range(5)]
    text, met = client.get("/browse?outcome=cats", headers=HTML).text, []
    while True:
        met += files(text)
        more = re.search(r'hx-get="([^"]+)"[^>]*hx-target="#more"', text)
        if more is None:
            break
        # Without a script the same address is a whole page.
        assert more[1] in re.findall(r'class="button" href="([^"]+)"', text)
        url = more[1].replace("&amp;", "&")
        text = client.get(url, headers={"HX-Request": "true", "HX-Target": "more"}).text
        assert "<html" not in text
    assert met == made[::-1]


def test_a_change_of_the_filters_gets_only_the_results(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg")
    text = client.get("/browse?name=a", headers={"HX-Request": "true", "HX-Target": "results"}).text
    assert text.startswith('<div id="results"') and files(text) == [id]


@pytest.mark.parametrize(
    "query", ["first=yesterday", "low=lots", "high=101", "first=0001-01-01", "last=9999-12-31", "low=nan"]
)
def test_a_filter_that_means_nothing_is_named_and_left_out(
    client: TestClient, pawsort: Installation, query: str
) -> None:
    id = pawsort.file(b"a.jpg")
    page = client.get(f"/browse?{query}", headers=HTML)
    assert page.status_code == 200 and files(page.text) == [id]
    assert 'class="note warn"' in page.text


@pytest.mark.parametrize("query", ["after=x", "after=7", "after=-1", "name=%00", "outcome=%27--", "after=²"])
def test_any_address_is_answered(client: TestClient, pawsort: Installation, query: str) -> None:
    pawsort.file(b"a.jpg")
    assert client.get(f"/browse?{query}", headers=HTML).status_code == 200


def test_names_and_filters_are_escaped(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"<script>alert(1)<.jpg")
    text = client.get("/browse?name=<script>&inbox=<b>&model=<b>", headers=HTML).text
    assert "<script>alert" not in text and "<b>" not in text
    assert "<script>alert" not in client.get("/browse", headers=HTML).text


def test_what_failed_is_shown_without_a_picture_and_by_its_reason(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg", outcome="failed", reason="truncated", prediction=None, confidence=None)
    pawsort.file(b"b.jpg", outcome="failed", reason="empty", prediction=None, confidence=None)
    text = client.get("/browse?outcome=failed&reason=truncated", headers=HTML).text
    assert files(text) == [id]
    assert f"/pictures/{id}/" not in text and "truncated" in text


def test_an_empty_page_says_what_to_do(visitor: TestClient) -> None:
    assert "drop photos into the inbox" in visitor.get("/browse", headers=HTML).text


# --- filters, on their own ---


def test_days_are_those_of_the_reports() -> None:
    choice, wrong = choice_of(Filters(first="2026-11-21", last="2026-11-21"), in_zone("Asia/Tokyo"))
    assert (str(choice.since), str(choice.until)) == (
        "2026-11-20 15:00:00+00:00",
        "2026-11-21 15:00:00+00:00",
    )
    assert wrong == []


def test_confidences_are_percent_in_either_order() -> None:
    choice, _ = choice_of(Filters(low="99,5 %".replace(" ", ""), high="20"), in_zone("UTC"))
    assert (choice.min_confidence, choice.max_confidence) == (0.2, 0.995)


def test_settled_or_not_or_either() -> None:
    found = [choice_of(Filters(corrected=text), in_zone("UTC"))[0].corrected for text in ("yes", "no", "x")]
    assert found == [True, False, None]


def test_an_address_keeps_what_is_asked_and_nothing_else() -> None:
    filters = filters_of({"name": " a&b ", "outcome": "cats", "other": "x", "low": "9" * 500})
    assert filters.url(low="", after=7) == "/browse?name=a%26b&outcome=cats&after=7"
    assert len(filters.low) == 200
    assert Filters().url() == "/browse"


def test_folders_that_people_made_are_counted_too(client: TestClient, pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    own = [pawsort.file(b"%d.jpg" % n, b"rabbit %d" % n, "rabbits") for n in range(2)]
    everything = {"cats": "1", "dogs": "0", "uncertain": "0", "failed": "0", "rabbits": "2"}
    assert counts(client.get("/browse", headers=HTML).text) == everything
    found = client.get("/browse?outcome=rabbits", headers=HTML).text
    assert files(found) == own[::-1] and counts(found) == everything


def test_a_folder_and_dates_of_the_camera_choose_photos(client: TestClient, pawsort: Installation) -> None:
    rome = pawsort.file(b"rome/a.jpg", b"1", taken_at="2024-01-31T23:59:59+02:00")
    other = pawsort.file(b"b.jpg", b"2", "dogs", taken_at="2024-02-01T00:00:00")
    inbox = pawsort.settings.inboxes[0]
    for folder in ("rome", "rome/", f"{inbox}/rome", "cats/rome", "sorted/cats"):
        assert files(client.get("/browse", params={"folder": folder}, headers=HTML).text) == [rome], folder
        found = client.get("/api/results", params={"folder": folder}).json()["results"]
        assert [row["id"] for row in found] == [rome], folder
    for ask, expected in {
        "taken_first=2024-02-01": [other],
        "taken_last=2024-01-31": [rome],
        "taken_first=2024-01-31&taken_last=2024-02-01": [other, rome],
        "taken_first=2024-02-01&folder=rome": [],
    }.items():
        text = client.get(f"/browse?{ask}", headers=HTML).text
        assert files(text) == expected, ask
        assert counts(text)["cats"] == str(expected.count(rome)), ask
    assert "is not a date" in client.get("/browse?taken_first=2024-02-30", headers=HTML).text
    text = client.get("/browse?folder=rome&taken_last=2024-02-01", headers=HTML).text
    assert 'name="folder" value="rome"' in text and 'More filters <span class="count">1' in text


def test_the_api_takes_times_of_the_camera_without_an_offset(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg", b"1", taken_at="2024-01-31T10:15:00")
    ask = "/api/results?taken_since=2024-01-31T10:15&taken_until="
    assert [row["id"] for row in client.get(f"{ask}2024-02-01").json()["results"]] == [id]
    assert client.get(f"{ask}2024-01-31T10:15").json()["results"] == []
    for wrong in ("2024-01-31T10:15Z", "yesterday", "2024-02-30"):
        assert client.get(f"{ask}{wrong}").status_code == 422, wrong
