"""What the pages look like to people with colours of their own, with long names, and when something fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pipeline.web.served_models.model_registry import SHIPPED
from tests.end_to_end.browser import Window, chromium
from tests.pipeline.web.conftest import photo
from tests.support.installation import Installation
from tests.support.live_server import doubtful, running
from tests.support.pictures import encode, scene


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[str]:
    pawsort = doubtful(tmp_path_factory.mktemp("installation"))
    with running(pawsort.settings) as address:
        yield address
    pawsort.close()


# --- what goes wrong is seen and heard ---


def test_what_goes_wrong_is_shown_and_said_where_the_visitor_is(live: str, browser: Any) -> None:
    with Window(browser, live) as window:
        page = window.page
        page.goto("/review")
        trouble = page.locator("#trouble[role=alert]")
        refusal = {"error": "The database is locked.", "what_to_do": "Try again."}
        page.route("**/review/answer", lambda route: route.fulfill(status=503, json=refusal))
        page.wait_for_function("document.hasFocus()")  # a key before that goes nowhere
        page.keyboard.press("d")
        page.get_by_text("The database is locked. Try again.").wait_for()
        assert trouble.is_visible()
        page.unroute("**/review/answer")
        page.route("**/review?after=*", lambda route: route.abort())
        page.keyboard.press("s")
        page.get_by_text("The server does not respond.").wait_for()
        page.unroute("**/review?after=*")
        page.keyboard.press("s")
        trouble.wait_for(state="hidden")


def test_a_photo_that_fails_on_try_is_an_alert_and_focus_stays_on_its_button(live: str, browser: Any) -> None:
    with Window(browser, live) as window:
        page = window.page
        page.goto("/")
        file = {"name": "a.png", "mimeType": "image/png", "buffer": photo("cat")}
        page.set_input_files("#files", file)
        look = page.get_by_role("button", name="Show heatmap")
        look.wait_for()
        refusal = {"error": "No room.", "what_to_do": "Free some."}
        for path in ("**/try/heat", "**/api/inbox", "**/try"):
            page.route(path, lambda route: route.fulfill(status=507, json=refusal))
        for name in ("Show heatmap", "Send to inbox"):
            button = page.get_by_role("button", name=name)
            button.press("Enter")
            page.get_by_role("status").get_by_text("No room. Free some.").wait_for()
            assert button.evaluate("(button) => document.activeElement === button"), name
        page.set_input_files("#files", file)
        page.get_by_role("alert").get_by_text("No room. Free some.").wait_for()


# --- colours of the visitor's own ---


def test_forced_colours_leave_what_is_chosen_and_how_much_visible(live: str, browser: Any) -> None:
    with Window(browser, live, forced_colors="active") as window:
        page = window.page

        def style(selector: str, name: str) -> str:
            found = page.locator(selector).first
            return str(found.evaluate("(one, name) => getComputedStyle(one)[name]", name))

        def differ(one: str, other: str, name: str) -> None:
            assert style(one, name) != style(other, name), (one, other, name)

        page.goto("/review")
        differ(".nav [aria-current]", ".nav a:not([aria-current])", "backgroundColor")
        differ(".chips [aria-current]", ".chips a:not([aria-current])", "backgroundColor")
        differ(".switch [aria-current]", ".switch a:not([aria-current])", "backgroundColor")
        differ(".say.guess", ".say:not(.guess)", "borderTopColor")
        differ(".first svg.bar rect", "body", "fill")
        assert style(".first svg.bar rect", "fill") != style("svg.bar", "backgroundColor")
        assert style("svg.bar", "borderTopStyle") == "solid"
        page.keyboard.press("Tab")
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.goto("/review?many=1")
        assert style("#answer-1", "color") != style("#all", "color"), "what cannot be pressed yet"
        page.locator(".tile input").first.check()
        differ(".tile:has(:checked)", ".tile:not(:has(:checked))", "borderTopColor")
        page.goto("/today")
        colours = page.evaluate(
            """() => [...document.querySelectorAll(".legend i")]
                .map((mark) => getComputedStyle(mark).backgroundColor)"""
        )
        assert len(set(colours)) >= 3, "the legend keeps the colours of the chart"


# --- names of any kind ---

LONG = {
    "no spaces": "x" * 240, "right to left": "\u05e9\u05dc\u05d5\u05dd" * 25, "emoji": "\U0001f600" * 60,
    "capitals": "W" * 240, "spaces": "a b " * 60, "markup": "<b>" * 70,
}  # fmt: skip
LONG_MODEL = "my_own_model_" * 10


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[str]:
    """A server over files with LONG names, a class and a model with one."""
    pawsort = Installation(tmp_path_factory.mktemp("named"))
    shutil.copytree(SHIPPED / "cats_dogs_mobilenet", pawsort.settings.base / "models" / LONG_MODEL)
    pawsort.time -= timedelta(days=1)
    for number, name in enumerate(LONG.values()):
        answer = {"reason": "low_confidence", "scores": {"c" * 60: 0.9, "dog": 0.1}, "prediction": "c" * 60}
        data = encode(scene(160 + number, 120), "JPEG")
        pawsort.file(f"{name}.jpg".encode(), data, "uncertain", model="m" * 120, **answer)
    pawsort.file(b"f" * 250, b"1", "failed", reason="r" * 120, prediction=None)
    with running(pawsort.settings) as address:
        yield address
    pawsort.close()


WIDE = (
    "/", "/review", "/review?many=1", "/check", "/browse", "/browse?reason=" + "r" * 120, "/today",
    "/reports", "/models", f"/models/{LONG_MODEL}", "/models/cats_dogs_mobilenet",
)  # fmt: skip

SPACED = """
* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
p { margin-bottom: 2em !important; }"""
"""Text as WCAG 1.4.12 lets visitors space it."""


def test_spaced_text_widens_no_page(named: str, browser: Any) -> None:
    with Window(browser, named, lax=True) as window:
        window.page.set_viewport_size({"width": 320, "height": 700})
        for path in (*WIDE, "/files/1"):
            window.page.goto(path)
            window.page.add_style_tag(content=SPACED)
            assert not window.scrolls_sideways(), path


@pytest.mark.parametrize("path", ["/review", "/files/1"])
def test_zoomed_pages_keep_short_names_of_classes_whole(live: str, browser: Any, path: str) -> None:
    with Window(browser, live) as window:
        page = window.page
        page.set_viewport_size({"width": 640, "height": 450})  # 1,280 x 900 at 200%
        page.goto(path)
        name = page.locator(".bars li span").first
        one_line = name.bounding_box()["height"]
        for selector, text in ((".bars li span", "neither"), (".bars .value", "99.3 %")):
            page.locator(selector).first.evaluate("(element, text) => { element.textContent = text; }", text)
        assert name.bounding_box()["height"] == one_line


@pytest.mark.parametrize("width", [320, pytest.param(1280, marks=pytest.mark.long)])
def test_no_name_widens_a_page(named: str, browser: Any, width: int) -> None:
    with Window(browser, named) as window:
        page = window.page
        page.set_viewport_size({"width": width, "height": 700})
        for path in (*WIDE, *(f"/files/{id}" for id in range(1, 8))):
            page.goto(path)
            assert not window.scrolls_sideways(), path
        page.goto("/files/1")
        assert page.locator("h1").bounding_box()["height"] < 160, "cut after three lines"
        assert "x" * 240 in page.locator("dl.facts").inner_text()
        page.goto("/")
        file = {"name": f"{'x' * 240}.png", "mimeType": "image/png", "buffer": photo("cat")}
        page.set_input_files("#files", file)
        page.locator(".answer .bars").wait_for()
        assert not window.scrolls_sideways()


# --- structure ---


@pytest.mark.parametrize("device", [pytest.param("desktop", marks=pytest.mark.long), "phone"])
def test_headings_names_labels_and_targets_are_in_order(live: str, browser: Any, device: Any) -> None:
    titles = set()
    with Window(browser, live, device, lax=True) as window:
        page = window.page
        for path in ("/", "/review", "/review?many=1", "/browse?low=1", "/files/1", "/files/7", "/today",
                     "/reports", "/models", "/models/cats_dogs", "/login", "/nowhere"):  # fmt: skip
            page.goto(path)
            if path == "/":
                file = {"name": "a.png", "mimeType": "image/png", "buffer": photo("cat")}
                page.set_input_files("#files", file)
                page.locator(".answer .bars").wait_for()
            assert window.barriers(least="minor") == [], path
            assert page.locator("html[lang=en]").count() == page.locator("h1").count() == 1, path
            titles.add(page.title())
    assert len(titles) == 11, "each page has a title of its own; both of Review share one"
