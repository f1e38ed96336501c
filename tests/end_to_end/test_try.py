"""The page Try in a real browser, with a real worker and the shipped model."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import Window, chromium
from tests.end_to_end.conftest import Site, picture
from tests.oracle import conserved

pytestmark = pytest.mark.timeout(600)

MODEL_MS = 300_000
"""How long a model may take to wake: seconds, or minutes on a machine that does much else."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Site]:
    """A worker, and a server beside it; both stay for all tests here."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.address = site.serve()
    yield site
    site.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    made = [folder / "one.jpg", folder / "<b>two & 3.jpg"]
    for seed, path in enumerate(made):
        path.write_bytes(picture(seed))
    (folder / "diary.txt").write_text("dear diary")
    return [*made, folder / "diary.txt"]


def test_photos_are_answered_looked_into_and_sent_to_the_worker(
    site: Site, browser: Any, photos: list[Path]
) -> None:
    with Window(browser, site.address) as window:
        page = window.page
        page.goto("/")
        page.set_input_files("#files", [str(photo) for photo in photos])
        cards = page.locator(".answer:not(.pending)")
        cards.nth(2).wait_for(timeout=MODEL_MS)
        assert set(cards.locator(".name").all_text_contents()) == {photo.name for photo in photos}
        [answer] = classified(site, photos[0])
        one = cards.filter(has_text="one.jpg")
        best = max(answer["scores"], key=answer["scores"].__getitem__)
        assert one.locator(".bars .first").inner_text().split()[0] == best
        assert one.locator(".bars > li").count() == 3
        assert one.locator(".pill").inner_text() == answer["outcome"]
        assert "it is no image" in cards.filter(has_text="diary.txt").inner_text()
        assert site.injected == [] and list(site.inbox.iterdir()) == []

        one.get_by_role("button", name="Show where it looked").click()
        one.locator(".heat").wait_for()
        one.get_by_role("button", name="Show the photo").click()
        assert not one.locator(".heat").is_visible()

        worker = site.worker()
        one.get_by_role("button", name="Send to inbox").click()
        page.get_by_text("It is in the inbox as").wait_for()
        site.injected.append(photos[0].read_bytes())
        site.wait_until_filed(1)
        assert (window.complaints, window.foreign) == ([], [])
    assert site.stop(worker) == 143
    conserved(site.settings, site.injected)
    with sqlite3.connect(site.settings.state / "pawsort.db") as database:
        [(name, outcome)] = database.execute("SELECT name, outcome FROM results").fetchall()
    database.close()
    assert name.startswith("upload-") and outcome == answer["outcome"]


def classified(site: Site, photo: Path) -> Any:
    done = subprocess.run(
        ["curl", "-sf", "-F", f"file=@{photo}", f"{site.address}/api/classify"],
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_photos_can_be_dropped_and_a_refusal_is_said_on_its_card(
    site: Site, browser: Any, photos: list[Path]
) -> None:
    with Window(browser, site.address) as window:
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
        page.get_by_text("No room. Free some.").wait_for()
        assert window.complaints == []


def test_without_a_script_the_form_answers_too(site: Site, browser: Any, photos: list[Path]) -> None:
    with Window(browser, site.address, java_script_enabled=False) as window:
        page = window.page
        page.goto("/")
        page.set_input_files("#files", str(photos[0]))
        page.get_by_role("button", name="Look at them").click()
        page.locator(".answer .bars").wait_for()


def test_the_keyboard_alone_reaches_everything(site: Site, browser: Any, photos: list[Path]) -> None:
    with Window(browser, site.address) as window:
        page = window.page
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        reached = set()
        for _ in range(25):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("() => document.activeElement.id || document.activeElement.name"))
        assert {"files", "model"} <= reached
        page.focus("#files")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(str(photos[0]))
        page.locator(".answer .bars").wait_for()


def pages_of(site: Site) -> list[str]:
    with urllib.request.urlopen(f"{site.address}/") as answer:
        html = answer.read().decode()
    nav = html.split("<nav", 1)[1].split("</nav>", 1)[0]
    return [part.split('"')[0] for part in nav.split('href="')[1:]]


@pytest.mark.parametrize("device", ["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(
    site: Site, browser: Any, photos: list[Path], device: Any, scheme: Any
) -> None:
    with Window(browser, site.address, device, scheme, lax=True) as window:
        page = window.page
        for path in [*pages_of(site), "/nowhere", "/login"]:
            page.goto(path)
            if path == "/":
                page.set_input_files("#files", [str(photo) for photo in photos])
                page.locator(".answer:not(.pending)").nth(2).wait_for()
            assert window.barriers() == [], path
            assert not window.scrolls_sideways(), path
            assert window.small_targets() == [], path
        assert (window.complaints, window.foreign) == ([], [])
