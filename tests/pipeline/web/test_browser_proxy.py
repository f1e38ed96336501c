"""The pages below /pets/ of a real nginx with TLS, in a real browser."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings.sections import WebSettings
from tests.end_to_end.browser import Window, chromium
from tests.pipeline.web.conftest import photo
from tests.pipeline.web.middleware.conftest import TOKEN
from tests.support.installation import Installation
from tests.support.live_server import running
from tests.support.nginx import proxy
from tests.support.pictures import encode, scene

PAGES = ("", "review", "review?many=1", "check", "browse", "browse/view/1", "files/1", "today", "reports",
         "models", "models/cats_dogs", "nowhere")  # fmt: skip

BROKEN = "() => [...document.images].filter((one) => one.complete && !one.naturalWidth).map((one) => one.src)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pawsort(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pawsort = Installation(tmp_path_factory.mktemp("proxied"))
    pawsort.time -= timedelta(days=1)
    for number in range(4):
        answer = {"reason": "low_confidence", "confidence": 0.5, "scores": {"cat": 0.5, "dog": 0.3}}
        pawsort.file(
            f"{number}.jpg".encode(), encode(scene(160 + number, 120), "JPEG"), "uncertain", **answer
        )
    yield pawsort
    pawsort.close()


@pytest.fixture(scope="module")
def live(pawsort: Installation, browser: Any) -> Iterator[str]:
    """The address of the pages, behind whatever proxies the tests start."""
    web = WebSettings(base_path="/pets", token=TOKEN)
    with running(pawsort.settings.model_copy(update={"web": web})) as address:
        yield address


def sign_in(page: Any) -> None:
    page.get_by_label("Token").fill(TOKEN)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_everything_works_below_a_path_behind_tls(
    live: str, pawsort: Installation, browser: Any, tmp_path: Path
) -> None:
    with proxy(live, tmp_path) as address:
        pages = f"{address}/pets/"
        with Window(browser, pages, ignore_https_errors=True) as window:
            page = window.page
            page.goto("browse?name=jpg&low=4")
            assert page.url == f"{pages}login?next=/browse%3Fname%3Djpg%26low%3D4"
            sign_in(page)
            assert page.url == f"{pages}browse?name=jpg&low=4"
            [cookie] = page.context.cookies()
            assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/pets", True, True)
            _every_page(page)
            _upload(page, pawsort, tmp_path)
            _review(page, pawsort)
            _download(page, pawsort)
            page.get_by_role("button", name="Sign out").click()
            page.wait_for_url(f"{pages}login")
            assert (window.complaints, window.foreign) == ([], [])


def _every_page(page: Any) -> None:
    for path in PAGES:
        answer = page.goto(path)
        assert answer.status == (404 if path == "nowhere" else 200), path
        assert page.evaluate(BROKEN) == [], path
    page.goto("today")
    with page.expect_response("**/pets/today/now") as renewed:
        assert renewed.value.status == 200


def _upload(page: Any, pawsort: Installation, folder: Path) -> None:
    (folder / "rex.png").write_bytes(photo("dog"))
    page.goto("")
    page.set_input_files("#files", str(folder / "rex.png"))
    page.locator(".answer .bars").wait_for()
    page.get_by_role("button", name="Send to inbox").click()
    page.get_by_text("It is in the inbox as").wait_for()
    assert [file.read_bytes() for file in pawsort.inbox.iterdir()] == [photo("dog")]


def _review(page: Any, pawsort: Installation) -> None:
    page.goto("review")
    for key, left in (("d", "3 left."), ("u", "4 left."), ("d", "3 left.")):
        page.keyboard.press(key)
        page.get_by_text(left).wait_for()
    page.keyboard.press("s")
    page.wait_for_url("**/pets/review?after=*")
    assert [outcome for (outcome,) in pawsort.rows("outcome")].count("dogs") == 1


def _download(page: Any, pawsort: Installation) -> None:
    page.goto("browse?outcome=dogs")
    page.locator(".pick input").first.check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert [Path(name).suffix for name in archive.namelist()] == [".jpg"]
    page.locator("a.photo").first.click()
    page.wait_for_url("**/pets/files/*")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() in [
        file.read_bytes() for file in pawsort.settings.sorted.rglob("*.jpg")
    ]


@pytest.mark.parametrize("host", ["$host", "$proxy_host"])
def test_forms_are_accepted_where_nginx_passes_another_host(
    live: str, browser: Any, tmp_path: Path, host: str
) -> None:
    with (
        proxy(live, tmp_path, host) as address,
        Window(browser, f"{address}/pets/", ignore_https_errors=True) as window,
    ):
        page = window.page
        page.goto("login?next=/review?many=1")
        sign_in(page)
        assert page.url == f"{address}/pets/review?many=1"
        page.context.clear_cookies()
        page.keyboard.press("a")
        page.keyboard.press("d")
        link = page.locator("#trouble").get_by_role("link", name="Sign in")
        assert link.get_attribute("href") == "/pets/login?next=%2Freview%3Fmany%3D1"
