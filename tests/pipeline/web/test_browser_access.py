"""The pages by keyboard, with a screen reader, magnified, and on a phone, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from db.connection.engine import writing
from tests.end_to_end.browser import Window, chromium
from tests.support.installation import Installation
from tests.support.live_server import doubtful, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pawsort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pawsort = doubtful(tmp_path_factory.mktemp("installation"))
    yield pawsort
    pawsort.close()


@pytest.fixture(scope="module")
def live(pawsort: Installation) -> Iterator[str]:
    with running(pawsort.settings) as address:
        yield address


def renew(page: Any) -> None:
    """Let Today renew itself once."""
    with page.expect_response("**/today/now"):
        page.clock.run_for(3_000)


# --- Today renews itself ---


@pytest.fixture
def today(live: str, browser: Any) -> Iterator[Any]:
    """Today with a clock that the test turns."""
    with Window(browser, live) as window:
        window.page.clock.install()
        window.page.goto("/today")
        yield window.page
        assert window.complaints == []


def changed(page: Any, pawsort: Installation) -> None:
    """Change what Today shows, and wait until it shows it."""
    before = page.locator(".last .file").inner_text()
    number = pawsort.file(f"new after {before}"[-60:].encode(), before.encode(), "cats")
    assert number
    renew(page)
    page.locator(".last .file", has_text="new after").wait_for()


def test_a_renewal_takes_neither_focus_nor_selection_nor_scroll_position(
    today: Any, pawsort: Installation
) -> None:
    row = today.locator("tr", has_text="A part of the file is missing")
    row.get_by_role("button").focus()
    today.evaluate("() => getSelection().selectAllChildren(document.querySelector('h1'))")
    today.evaluate("() => { window.kept = [document.activeElement, scrollY] }")
    changed(today, pawsort)
    assert today.evaluate("() => document.activeElement === kept[0] && scrollY === kept[1]")
    assert today.evaluate("() => getSelection().toString()") == "Today"
    assert today.evaluate("() => document.getElementById('announcer').textContent") == ""
    # A row before the focused one goes: the focus stays with its reason, and does not slip to another.
    with writing(pawsort.engine) as connection:
        connection.execute(text("UPDATE files SET reason = 'truncated' WHERE reason = 'unsupported'"))
    today.clock.run_for(60_000)
    today.get_by_role("button", name="Retry all").wait_for()
    focused = today.evaluate("() => document.activeElement.closest('tr')?.innerText ?? ''")
    assert "A part of the file is missing" in focused


def test_today_can_be_paused_and_says_when_the_server_is_gone(today: Any) -> None:
    box = today.get_by_role("checkbox", name="Keep this page up to date")
    today.route("**/today/now", lambda route: route.abort())
    today.clock.run_for(3_000)
    alert = today.get_by_role("alert").filter(has_text="may be out of date")
    alert.wait_for()
    box.uncheck()
    alert.wait_for(state="hidden")
    asked: list[str] = []
    today.on("request", lambda request: asked.append(request.url))
    today.clock.run_for(30_000)
    today.reload()
    assert not box.is_checked(), "it is remembered"
    today.clock.run_for(30_000)
    assert not any(url.endswith("/today/now") for url in asked)


# --- keys of one letter ---


@pytest.fixture
def doubts(pawsort: Installation, live: str, browser: Any) -> Iterator[Any]:
    """Review, and what it sends is caught: nothing is settled here."""
    with Window(browser, live) as window:
        window.page.set_default_timeout(20_000)
        window.page.goto("/review")
        yield window.page
        assert window.complaints == []


def pressed(page: Any, *keys: str) -> list[str]:
    """Press keys; return which buttons and links they pressed, which then do nothing."""
    page.evaluate(
        """() => {
            window.heard ??= [];
            window.hear ??= document.getElementById("stage").addEventListener("click", (event) => {
                const target = event.target.closest("[data-key]");
                if (!target) return;
                heard.push(target.dataset.key);
                event.preventDefault();
                event.stopPropagation();
            }, true) ?? true;
        }"""
    )
    for key in keys:
        page.keyboard.press(key)
    return list(page.evaluate("() => heard.splice(0)"))


def test_keys_answer_only_by_themselves_and_outside_of_fields(doubts: Any) -> None:
    assert pressed(doubts, "d", "s", "C") == ["d", "s", "c"], "capital letters come from Caps Lock"
    assert pressed(doubts, *(f"{modifier}+d" for modifier in ("Control", "Alt", "Meta", "Shift"))) == []
    for special in ("modifierAltGraph", "isComposing"):
        event = {"key": "d", "bubbles": True, "cancelable": True, special: True}
        doubts.evaluate("(event) => document.body.dispatchEvent(new KeyboardEvent('keydown', event))", event)
        assert pressed(doubts) == [], special
    doubts.get_by_text("Recorded as").click()
    doubts.get_by_label("Your name").focus()
    assert pressed(doubts, "d", "n", "u", "s") == []
    assert doubts.get_by_label("Your name").input_value() == "dnus"
    for field in ("<textarea></textarea>", "<select><option>d</select>", "<p contenteditable>x</p>"):
        doubts.evaluate(
            """(html) => {
                document.getElementById("stage").insertAdjacentHTML("beforeend", html);
                document.getElementById("stage").lastElementChild.focus();
            }""",
            field,
        )
        assert pressed(doubts, "d") == [], field


def test_keys_can_be_switched_off_for_good(doubts: Any) -> None:
    dog = doubts.get_by_role("button", name="dog")
    assert dog.get_attribute("aria-keyshortcuts") == "d"
    doubts.get_by_role("checkbox", name="One-letter keys").press("Space")
    doubts.reload()
    assert pressed(doubts, "d", "c", "n", "s", "u") == []
    assert dog.get_attribute("aria-keyshortcuts") is None
    assert not doubts.locator("kbd").first.is_visible()
    doubts.get_by_role("checkbox", name="One-letter keys").check()
    assert pressed(doubts, "d") == ["d"]


def test_focus_goes_on_at_the_content_where_its_button_is_gone(doubts: Any) -> None:
    last = '<div id="stage"><h1>Review</h1><p>All reviewed.</p></div>'
    doubts.route("**/review?after=*", lambda route: route.fulfill(body=last, content_type="text/html"))
    doubts.locator("#skip").press("Enter")
    doubts.get_by_text("All reviewed.").wait_for()
    doubts.wait_for_function("() => document.activeElement.id === 'content'")


# --- zoom ---

ZOOMED = {
    "1280 x 900 at 200%": (640, 450),
    "1280 x 1024 at 400%": (320, 256),
    "1920 x 1080 at 200%": (960, 540),
    "a phone on its side": (844, 390),
    "a phone": (390, 664),
    "a small phone": (320, 568),
    "a tablet": (820, 1180),
}

COVERED = """(block) => {
    const photo = document.querySelector(".picture");
    photo.scrollIntoView({ block });
    const { left, right, top, bottom } = photo.getBoundingClientRect();
    const high = top + 16, low = Math.min(bottom, innerHeight) - 16;
    return [[left + 16, high], [right - 16, high], [left + 16, low], [right - 16, low]]
        .filter(([x, y]) => !photo.contains(document.elementFromPoint(x, y)))
        .concat(bottom - top > innerHeight ? ["higher than the window"] : []);
}"""


@pytest.mark.parametrize("way", ZOOMED)
def test_answers_cover_no_photo_at_any_zoom(live: str, browser: Any, way: str) -> None:
    with Window(browser, live) as window:
        page = window.page
        width, height = ZOOMED[way]
        page.set_viewport_size({"width": width, "height": height})
        page.goto("/review")
        assert page.evaluate(COVERED, "start") == []
        if height < 640:  # in a higher window they stay at its foot, with room for the photo above
            assert page.evaluate(COVERED, "end") == []
        for button in page.locator(".ask .say").all():
            button.scroll_into_view_if_needed()
            button.click(trial=True)
        assert not window.scrolls_sideways()


def test_at_400_percent_everything_is_within_the_window(live: str, browser: Any) -> None:
    with Window(browser, live) as window:
        page = window.page
        page.set_viewport_size({"width": 320, "height": 256})
        for path in ("/", "/review", "/review?many=1", "/check", "/browse", "/files/1", "/today", "/reports",
                     "/models", "/models/cats_dogs", "/login", "/nowhere"):  # fmt: skip
            page.goto(path)
            assert not window.scrolls_sideways(), path
            outside = page.evaluate(
                """() => [...document.querySelectorAll("a, button, input, select, summary")]
                    .filter((one) => one.checkVisibility() && !one.closest(".unseen, .skip, .scroll"))
                    .filter((one) => { const { left, right } = one.getBoundingClientRect();
                        return left < 0 || right > innerWidth; })
                    .map((one) => one.outerHTML.slice(0, 120))"""
            )
            assert outside == [], path
