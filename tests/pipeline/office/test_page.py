from __future__ import annotations

import re
from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest

from pipeline.office import day_figures, page
from pipeline.office.child import Office
from pipeline.office.messages import ChoosePhotos, Chosen, OfficeSettings, WritePage, Written
from tests.pipeline.office.conftest import DAY, NIGHT, SHOWN, settings_of
from tests.support.installation import Installation

JPEG = b"\xff\xd8 a picture"


def drawn(office: Installation, now: datetime = NIGHT, jpegs: dict[int, bytes] | None = None) -> str:
    """Return the text of the page of the day."""
    child = Office(settings_of(office, "standard"))
    assert isinstance(child.answer(ChoosePhotos(str(DAY))), Chosen)
    path = office.settings.reports / f"report-{DAY}.html"
    written = child.answer(WritePage(str(DAY), now, True, {1: JPEG} if jpegs is None else jpegs))
    assert written == Written((path,))
    assert (office.settings.reports / "latest-report.html").read_bytes() == path.read_bytes()
    return path.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.text += " " * (tag in ("td", "th", "p", "li", "h2"))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_without_scripts_and_without_anything_from_elsewhere(
    office: Installation,
) -> None:
    elements = Elements(drawn(office)).found
    assert {tag for tag, _ in elements} & {
        "script",
        "link",
        "iframe",
        "object",
        "svg",
        "style",
        "a",
        "form",
    } == set()
    values = [(name, value or "") for _, attributes in elements for name, value in attributes.items()]
    assert {value[:22] for name, value in values if name in ("src", "href")} == {"data:image/jpeg;base64"}
    assert not [name for name, _ in values if name.startswith("on")]
    assert not [value for name, value in values if name == "style" and "url(" in value]


@pytest.mark.fault(110)
def test_names_are_escaped(office: Installation) -> None:
    text = drawn(office)
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(1)&gt;.jpg" in text
    for name in SHOWN:
        assert name in Elements(text).text


def test_the_figures_are_those_of_the_summary(office: Installation) -> None:
    text = " ".join(Elements(drawn(office)).text.split())
    assert "20 photos arrived" in text and "18 doubtful photos" in text and "1 file failed" in text
    assert "uncertain 18 90 %" in text and "cats 1 5 %" in text
    assert "notes.txt (not an image)" in text and "not an image: the file's content is not an image" in text
    assert "Saturday 21 November 2026, Europe/Berlin." in text
    assert "So far" not in text


def test_a_day_that_is_not_over_says_so(office: Installation) -> None:
    assert "So far: the day was not over" in drawn(office, NIGHT - timedelta(hours=2))


def test_alarms_and_failures_to_reconcile_stand_at_the_top(office: Installation) -> None:
    drift = office.settings.reports / f"drift-{DAY}.csv"
    head, row, *rest = drift.read_text().splitlines()
    drift.write_text("\n".join([head, f"{row}The share of <b> rose.", *rest, ""]))
    summary = office.settings.reports / f"summary-{DAY}.csv"
    summary.write_text(summary.read_text().replace(",true,", ",false,"))
    text = drawn(office)
    assert "The share of &lt;b&gt; rose." in text and "The numbers do not add up" in text


def test_the_days_before_are_a_chart(office: Installation) -> None:
    folder = office.settings.reports
    summary = (folder / f"summary-{DAY}.csv").read_text()
    for past in (1, 3, 20):
        day = DAY - timedelta(days=past)
        (folder / f"summary-{day}.csv").write_text(summary.replace(str(DAY), str(day)))
    text = drawn(office)
    assert re.findall(r">(\w{3} \d+ Nov)</th>", text) == ["Wed 18 Nov", "Fri 20 Nov", "Sat 21 Nov"]
    assert text.count("width:14px") == 0 and text.count('width="90.00%"') == 4


def test_only_so_many_photos_are_shown_those_that_the_model_is_least_sure_of(
    office: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_figures, "MOST_PHOTOS", 3)
    settings: OfficeSettings = settings_of(office, "standard")
    chosen = Office(settings).answer(ChoosePhotos(str(DAY)))
    assert isinstance(chosen, Chosen)
    assert [request.id for request in chosen.requests] == [1, 2, 3]
    assert {request.root for request in chosen.requests} == {office.settings.sorted}
    text = drawn(office)
    assert "18 doubtful photos" in text and "the 3 that the model is least sure of" in text
    assert text.count("<img ") == 1 and text.count("no picture") == 2


def test_a_picture_that_is_too_large_is_left_out(office: Installation) -> None:
    assert "<img " not in drawn(office, jpegs={1: b"x" * (page.MOST_BYTES + 1)})


def test_a_day_without_photos_has_a_page(office: Installation) -> None:
    for kind in ("summary", "images", "drift"):
        path = office.settings.reports / f"{kind}-{DAY}.csv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "Nothing arrived on this day." in drawn(office)
