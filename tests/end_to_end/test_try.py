"""The page Try in a real browser, with a real worker and the shipped model."""

from __future__ import annotations

import json
import sqlite3
import subprocess
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
        assert "this is no picture" in cards.filter(has_text="diary.txt").inner_text()
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
