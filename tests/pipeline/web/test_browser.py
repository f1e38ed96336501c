"""The pages in a real browser, with a classifier that answers what is written into a photo."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.connection.engine import writing
from pipeline.settings.sections import WebSettings
from pipeline.web.served_models.model_registry import SHIPPED
from tests.end_to_end.browser import Window, chromium
from tests.pipeline.web.conftest import photo
from tests.support.installation import Installation
from tests.support.live_server import running
from tests.support.pictures import encode, scene


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[str]:
    """The address of a server over a few files of each outcome."""
    pawsort = Installation(tmp_path_factory.mktemp("installation"))
    pawsort.time -= timedelta(days=1)
    shutil.copytree(SHIPPED / "cats_dogs", pawsort.settings.base / "models" / "house_cats")
    for number, outcome in enumerate(["cats", "cats", "dogs", "uncertain", "uncertain", "failed"]):
        name = f"<img src=x onerror=alert({number})>.jpg".encode()
        pawsort.file(name, encode(scene(160 + number, 120), "JPEG"), outcome=outcome)
    with writing(pawsort.engine) as connection:
        connection.execute(text("UPDATE files SET reason = 'truncated' WHERE outcome = 'failed'"))
        connection.execute(text("UPDATE files SET reason = 'neither' WHERE outcome = 'uncertain'"))
    with running(pawsort.settings, pawsort.settings.base / "models") as address:
        yield address
    pawsort.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    made = {"cat.png": photo("cat"), "<b>dog & 3.png": photo("unsure"), "cut.png": photo("truncated")}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made]


def test_photos_can_be_dropped_and_a_refusal_is_said_on_its_card(
    live: str, browser: Any, photos: list[Path]
) -> None:
    with Window(browser, live) as window:
        page = window.page
        page.goto("/")
        transfer = page.evaluate_handle(
            """(bytes) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", {type: "image/jpeg"}));
                return transfer;
            }""",
            list(photos[0].read_bytes()),
        )
        page.dispatch_event("body", "drop", {"dataTransfer": transfer})
        page.locator(".answer:not(.pending)", has_text="dropped.jpg").locator(".bars").wait_for()
        page.route(
            "**/try",
            lambda route: route.fulfill(status=507, json={"error": "No room.", "what_to_do": "Free some."}),
        )
        page.set_input_files("#files", str(photos[1]))
        page.locator(".error", has_text="No room. Free some.").wait_for()
        assert window.complaints == []


def test_without_a_script_the_form_answers_too(live: str, browser: Any, photos: list[Path]) -> None:
    with Window(browser, live, java_script_enabled=False) as window:
        page = window.page
        page.goto("/")
        page.set_input_files("#files", str(photos[0]))
        page.get_by_role("button", name="Classify").click()
        page.locator(".answer .bars").wait_for()


def test_the_keyboard_alone_reaches_everything(live: str, browser: Any, photos: list[Path]) -> None:
    with Window(browser, live) as window:
        page = window.page
        # Chromium hands choosers over from the first listener on; asked only when the key is pressed, it may
        # open its own window first.
        page.on("filechooser", lambda _: None)
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        reached = set()
        for _ in range(25):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("() => document.activeElement.id || document.activeElement.name"))
        assert {"files", "model"} <= reached
        page.reload()
        for _ in range(25):
            page.keyboard.press("Tab")
            if page.locator("#files:focus").count():
                break
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(str(photos[0]))
        page.locator(".answer .bars").wait_for()


def pages_of(live: str) -> list[str]:
    with urllib.request.urlopen(f"{live}/") as answer:
        html = answer.read().decode()
    nav = html.split("<nav", 1)[1].split("</nav>", 1)[0]
    return [part.split('"')[0] for part in nav.split('href="')[1:]]


@pytest.mark.parametrize("device", [pytest.param("desktop", marks=pytest.mark.long), "phone"])
def test_no_page_has_an_obstacle_for_users(live: str, browser: Any, photos: list[Path], device: Any) -> None:
    with Window(browser, live, device, lax=True) as window:
        page = window.page
        for path in [
            *pages_of(live),
            "/files/1",
            "/browse/view/1",
            "/models/cats_dogs",
            "/nowhere",
            "/login",
        ]:
            page.goto(path)
            if path == "/":
                page.set_input_files("#files", [str(photo) for photo in photos])
                page.locator(".answer:not(.pending)").nth(2).wait_for()
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                assert window.barriers() == [], (path, scheme)
            assert not window.scrolls_sideways(), path
            assert window.small_targets() == [], path
        assert (window.complaints, window.foreign) == ([], [])


def test_the_token_is_given_once_in_a_form(tmp_path: Path, browser: Any) -> None:
    pawsort = Installation(tmp_path)
    web = WebSettings(token="correct horse battery")
    with (
        running(pawsort.settings.model_copy(update={"web": web})) as address,
        Window(browser, address) as window,
    ):
        page = window.page
        page.goto("/")
        page.get_by_label("Token").fill("a wrong one, surely")
        page.keyboard.press("Enter")
        page.get_by_text("Wrong token.").wait_for()
        page.get_by_label("Token").fill("correct horse battery")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="What is in this photo?").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
    pawsort.close()


def test_another_model_answers_the_same_photos_anew(live: str, browser: Any, photos: list[Path]) -> None:
    with Window(browser, live) as window:
        page = window.page
        page.goto("/")
        page.set_input_files("#files", str(photos[0]))
        page.locator(".answer .bars").wait_for()
        assert "The worker would move it to cats/" in page.locator(".answer").inner_text()
        page.get_by_role("radio", name="house_cats").check()
        page.get_by_text("With this model, the worker would move it to cats/").wait_for()
        assert page.url.endswith("/?model=house_cats")
        page.reload()
        assert page.get_by_role("radio", name="house_cats").is_checked()
        assert window.complaints == []
