"""Filed photos checked in a real browser, by keys, on a desktop and a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from db.queries import spot_checks
from tests.end_to_end.browser import Window, chromium
from tests.support.installation import Installation
from tests.support.live_server import running
from tests.support.oracle import conserved
from tests.support.pictures import encode, scene


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def photos(pawsort: Installation) -> list[bytes]:
    pawsort.time -= timedelta(days=1)
    made = [encode(scene(160 + number, 120), "JPEG") for number in range(5)]
    for number, data in enumerate(made):
        pawsort.file(f"{number}.jpg".encode(), data)
    return made


def outcomes(pawsort: Installation) -> list[str | None]:
    """The folders of the photos, in the order in which the page asks about them."""
    return [pawsort.state(each.file_id)[1] for each in spot_checks.drawn(pawsort.engine)]


def test_photos_are_checked_by_keys(browser: Any, pawsort: Installation, photos: list[bytes]) -> None:
    with running(pawsort.settings) as address, Window(browser, address) as window:
        page = window.page

        def press(key: str, then: str) -> None:
            page.keyboard.press(key)
            page.get_by_text(then, exact=False).first.wait_for()

        page.goto("/check")
        page.get_by_role("button", name="Draw photos").wait_for()
        page.wait_for_function("document.hasFocus()")
        press("d", "5 photos wait")
        press("y", "4 photos wait")
        press("x", "What is in this photo?")
        press("d", "3 photos wait")
        page.get_by_text("50 % of the filed photos are right").wait_for()
        press("u", "4 photos wait")
        press("x", "What is in this photo?")
        press("n", "3 photos wait")
        press("s", "3 photos wait")
        assert (window.complaints, window.foreign) == ([], [])
    assert outcomes(pawsort) == ["cats", "uncertain", "cats", "cats", "cats"]
    conserved(pawsort.settings, photos)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_every_state_of_the_page_is_accessible(
    browser: Any, pawsort: Installation, photos: list[bytes], device: Any, scheme: Any
) -> None:
    with running(pawsort.settings) as address, Window(browser, address, device, scheme, lax=True) as window:
        page = window.page
        page.goto("/check")
        assert window.barriers() == [] and window.small_targets() == []
        page.get_by_role("button", name="Draw photos").click()
        page.get_by_text("5 photos wait").wait_for()
        page.get_by_role("button", name="Right").click()
        page.get_by_text("4 photos wait").wait_for()
        assert window.barriers() == [] and window.small_targets() == []
        page.get_by_role("link", name="Wrong").click()
        page.get_by_text("What is in this photo?").wait_for()
        assert window.barriers() == [] and window.small_targets() == []
        assert not window.scrolls_sideways()
