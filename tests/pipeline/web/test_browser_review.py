"""Doubts settled in a real browser, by keys, and what then stands in folders, database and report."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.reports.daily import Reporter
from pipeline.settings.sections import WebSettings
from tests.end_to_end.browser import Window, chromium
from tests.support.installation import Installation
from tests.support.live_server import running
from tests.support.oracle import conserved
from tests.support.pictures import encode, scene

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def doubts(pawsort: Installation) -> list[bytes]:
    """Five photos in doubt, the least sure first."""
    pawsort.time -= timedelta(days=1)
    made = []
    for number in range(5):
        made.append(encode(scene(160 + number, 120), "JPEG"))
        name, sure = f"{number}.jpg".encode(), 0.4 + number / 10
        pawsort.file(name, made[-1], "uncertain", reason="low_confidence", confidence=sure)
    return made


def outcomes(pawsort: Installation) -> list[str | None]:
    return [pawsort.state(id)[1] for id in range(1, 6)]


def test_photos_are_reviewed_by_keys_and_corrections_undone(
    browser: Any, pawsort: Installation, doubts: list[bytes]
) -> None:
    with running(pawsort.settings) as address, Window(browser, address) as window:
        page = window.page

        def press(key: str, left: str) -> None:
            page.keyboard.press(key)
            page.get_by_text(left).wait_for()

        page.goto("/review")
        page.get_by_text("5 left.").wait_for()
        press("d", "4 left.")
        press("c", "3 left.")
        press("n", "2 left.")
        assert outcomes(pawsort) == ["dogs", "cats", "uncertain", "uncertain", "uncertain"]
        press("u", "3 left.")
        page.locator('img[alt="2.jpg"]').wait_for()
        press("u", "4 left.")
        press("d", "3 left.")
        assert outcomes(pawsort)[:3] == ["dogs", "dogs", "uncertain"]
        page.keyboard.press("s")
        page.locator('img[alt="3.jpg"]').wait_for()
        assert (window.complaints, window.foreign) == ([], [])
    assert (pawsort.settings.sorted / "dogs/0.jpg").read_bytes() == doubts[0]
    settings = pawsort.settings
    report = Reporter(pawsort.engine, settings.reports, settings.report.zone, time(0, 10), ("cats", "dogs"))
    report.write_day(pawsort.time.date(), pawsort.time)
    with Path(settings.reports, "latest-images.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: (row["outcome"], row["corrected_to"]) for row in csv.DictReader(file)}
    assert rows["0.jpg"] == rows["1.jpg"] == ("dogs", "dog")
    assert rows["2.jpg"] == ("uncertain", "")
    conserved(settings, doubts)


PRESS_AT_EACH_CHANGE = """(keys) => new MutationObserver(() => {
    const key = keys.shift();
    if (key) document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
}).observe(document.getElementById("content"), {childList: true})"""


def test_a_key_pressed_as_soon_as_the_next_photo_is_shown_does_not_reload_the_page(
    browser: Any, pawsort: Installation, doubts: list[bytes]
) -> None:
    with running(pawsort.settings) as address, Window(browser, address) as window:
        page = window.page
        page.goto("/review")
        loads: list[str] = []
        page.on(
            "request", lambda request: loads.append(request.url) if request.is_navigation_request() else None
        )
        page.evaluate(PRESS_AT_EACH_CHANGE, ["c", "u", "s"])
        page.keyboard.press("d")
        page.locator('img[alt="2.jpg"]').wait_for()
        assert (loads, window.complaints) == ([], [])
    assert outcomes(pawsort)[:3] == ["dogs", "uncertain", "uncertain"]


@pytest.mark.parametrize("view", ["/review", "/browse"])
def test_the_whole_page_is_there_after_going_back(
    browser: Any, pawsort: Installation, doubts: list[bytes], view: str
) -> None:
    with running(pawsort.settings) as address, Window(browser, address) as window:
        page = window.page
        page.goto(view)
        if view == "/review":
            page.keyboard.press("s")
            page.wait_for_url("**/review?after=*")
        else:
            page.fill("#f-name", "3")
            page.wait_for_url("**/browse?name=3*")
        page.go_back()
        page.wait_for_url(f"**{view}")
        page.get_by_text("Photos stay on this machine").wait_for()
        assert page.get_by_role("navigation", name="Pages").is_visible()
        if view == "/review":
            page.get_by_text("One-letter keys").wait_for()
            page.keyboard.press("d")
            page.get_by_text("4 left.").wait_for()
        assert window.complaints == []


def test_a_focused_photo_is_not_hidden_by_the_answers(
    browser: Any, pawsort: Installation, doubts: list[bytes]
) -> None:
    with running(pawsort.settings) as address, Window(browser, address) as window:
        page = window.page
        page.set_viewport_size({"width": 320, "height": 640})
        page.goto("/review?many=1")
        page.locator("#answer-1:disabled").wait_for()
        for box in page.locator(".tile input").all():
            page.keyboard.press("Tab")
            while not box.evaluate("box => box === document.activeElement"):
                page.keyboard.press("Tab")
            assert box.evaluate(
                "box => box.getBoundingClientRect().bottom < "
                "document.querySelector('.says.bar').getBoundingClientRect().top"
            )


def test_many_are_selected_settled_and_taken_back(
    browser: Any, pawsort: Installation, doubts: list[bytes]
) -> None:
    with running(pawsort.settings) as address, Window(browser, address, "phone", "dark") as window:
        page = window.page
        page.goto("/review?many=1")
        page.locator("#answer-1:disabled").wait_for()
        page.keyboard.press("a")
        page.locator(".tile input").first.uncheck()
        page.keyboard.press("c")
        page.get_by_text("1 left.").wait_for()
        assert outcomes(pawsort) == ["uncertain", "cats", "cats", "cats", "cats"]
        page.keyboard.press("u")
        page.get_by_text("5 left.").wait_for()
        assert set(outcomes(pawsort)) == {"uncertain"}
        assert not window.scrolls_sideways()
        assert window.complaints == []


def test_filters_narrow_the_photos_while_one_types_and_a_file_opens(
    browser: Any, pawsort: Installation, doubts: list[bytes]
) -> None:
    with running(pawsort.settings) as address, Window(browser, address) as window:
        page = window.page
        page.goto("/browse")
        page.locator(".photo").nth(4).wait_for()
        page.fill("#f-name", "3.jp")
        page.wait_for_url("**/browse?name=3.jp*")
        page.locator(".photo").nth(1).wait_for(state="detached")
        page.locator(".photo").click()
        page.get_by_role("button", name="dog").click()
        page.get_by_role("heading", name="Corrected to dog").wait_for()
        assert outcomes(pawsort)[3] == "dogs"
        page.get_by_role("button", name="Undo the last correction").click()
        page.get_by_text("Possibly cat").wait_for()
        assert outcomes(pawsort)[3] == "uncertain"
        assert window.complaints == []


def test_where_the_session_has_ended_a_link_leads_to_sign_in_and_back(
    browser: Any, pawsort: Installation, doubts: list[bytes]
) -> None:
    settings = pawsort.settings.model_copy(update={"web": WebSettings(token=TOKEN)})
    with running(settings) as address, Window(browser, address) as window:
        page = window.page

        def sign_in() -> None:
            page.get_by_label("Token").fill(TOKEN)
            page.keyboard.press("Enter")
            page.get_by_text("5 left.").wait_for()
            page.wait_for_load_state()  # with its scripts; a key before that goes nowhere

        page.goto("/review?order=alike")
        sign_in()
        page.context.clear_cookies()
        page.wait_for_function("document.hasFocus()")  # a key before that goes nowhere
        page.keyboard.press("d")
        page.locator("#trouble").get_by_role("link", name="Sign in").click()
        sign_in()
        assert page.url.endswith("/review?order=alike")
    assert outcomes(pawsort) == ["uncertain"] * 5
