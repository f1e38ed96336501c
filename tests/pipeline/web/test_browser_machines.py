"""Photos of another machine settled in a real browser: its picture, one key, and what its worker does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.settings.sections import WebSettings
from tests.db.conftest import postgres, postgres_made  # noqa: F401 - fixtures
from tests.end_to_end.browser import Window, chromium
from tests.pipeline.requests.conftest import Two, two  # noqa: F401 - a fixture
from tests.support.installation import wait
from tests.support.live_server import running
from tests.support.machine import Machine
from tests.support.oracle import read
from tests.support.pictures import encode, scene

TOKEN = "correct horse battery"
UNSURE = {"reason": "low_confidence", "scores": {"cat": 0.5, "dog": 0.4}}
SHOWN = "image => image.complete && image.naturalWidth"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@contextmanager
def working(machine: Machine) -> Iterator[None]:
    """Let a worker of a machine carry out requests between its steps, as `WorkerRun` does."""
    step, stop = machine.requests(), threading.Event()

    def work() -> None:
        while not stop.wait(0.02):
            step.advance()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_review_shows_a_photo_of_another_machine_and_one_key_settles_it(browser: Any, two: Two) -> None:  # noqa: F811
    data = encode(scene(160, 120), "JPEG")
    id = two.bob.file(b"bob.jpg", data, "uncertain", confidence=0.4, **UNSURE)
    two.ann.file(b"ann.jpg", encode(scene(170, 120), "JPEG"), "uncertain", confidence=0.6, **UNSURE)
    with (
        running(two.bob.settings) as bobs,
        running(two.ann.settings) as address,
        working(two.bob),
        Window(browser, address) as window,
    ):
        two.bob.beat(address=bobs)
        page = window.page
        page.goto("/review")
        picture = page.locator('img[alt="bob.jpg"]')
        picture.wait_for()
        assert picture.evaluate(SHOWN) == 160
        assert page.get_by_text("on bob").is_visible()
        page.keyboard.press("d")
        page.locator('img[alt="ann.jpg"]').wait_for()
        wait(lambda: two.bob.state(id)[1] == "dogs", "bob's worker", seconds=5)
        page.keyboard.press("u")  # undoes what bob's worker did
        wait(lambda: two.bob.state(id)[1] == "uncertain", "bob's worker", seconds=5)
        assert (window.complaints, window.foreign) == ([], [])
    assert read(two.bob.path("uncertain/bob.jpg")) == data


def test_a_photo_that_cannot_be_fetched_says_where_it_is(browser: Any, two: Two) -> None:  # noqa: F811
    two.bob.file(b"bob.jpg", encode(scene(160, 120), "JPEG"), "uncertain", confidence=0.4, **UNSURE)
    settings = two.ann.settings.model_copy(update={"web": WebSettings(token=TOKEN)})
    with running(settings) as address, Window(browser, address) as window:
        page = window.page
        page.goto("/review")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        picture = page.locator('img[alt="bob.jpg"]')
        picture.wait_for()
        wait(lambda: picture.evaluate(SHOWN) == 320, "the placeholder")
        page.keyboard.press("d")
        page.get_by_text("Waiting for bob: 1").wait_for()
        assert page.get_by_text("record it as dog").is_visible()
        assert not window.scrolls_sideways()
