"""Many photos selected, corrected, downloaded and exported in a real browser, and one in full size."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import Window, chromium
from tests.support.installation import Installation
from tests.support.live_server import running
from tests.support.oracle import conserved
from tests.support.pictures import encode, scene

COUNT = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[tuple[str, Installation]]:
    """A server over more photos than a page of Browse has."""
    pawsort = Installation(tmp_path_factory.mktemp("browse"))
    pawsort.time -= timedelta(days=1)
    for number in range(COUNT):
        name = f"Möhre/{number:02}.jpg".encode()
        data = encode(scene(160 + number, 120), "JPEG")
        answer = {"reason": "low_confidence", "confidence": 0.6, "width": 160, "height": 120}
        pawsort.injected.append(data)
        pawsort.file(name, data, "uncertain", taken_at=f"2024-01-31T10:15:{number % 60:02}", **answer)
    with running(pawsort.settings) as address:
        yield address, pawsort
    pawsort.close()


def outcomes(pawsort: Installation) -> list[str]:
    return [outcome for (outcome,) in pawsort.rows("outcome")]


def fetched(page: Any, name: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    return Path(download.value.path()).read_bytes()


def test_forty_photos_are_selected_downloaded_exported_corrected_and_the_correction_undone(
    live: tuple[str, Installation], browser: Any
) -> None:
    openpyxl, pandas = pytest.importorskip("openpyxl"), pytest.importorskip("pandas")
    address, pawsort = live
    with Window(browser, address) as window:
        page = window.page
        page.goto("/browse?outcome=uncertain")
        boxes, bar = page.locator(".pick input"), page.locator("#chosen")
        assert bar.is_hidden()
        boxes.nth(2).check()
        page.keyboard.down("Shift")
        page.locator(".pick").nth(41).click()
        page.keyboard.up("Shift")
        assert page.locator("#count").inner_text() == "40 photos selected"
        chosen = [f"{COUNT - 1 - place:02}.jpg" for place in range(2, 42)]

        with zipfile.ZipFile(io.BytesIO(fetched(page, "Download"))) as archive:
            assert archive.testzip() is None
            assert sorted(archive.namelist()) == sorted(f"uncertain/Möhre/{name}" for name in chosen)
            assert archive.read("uncertain/Möhre/20.jpg") == pawsort.injected[20]
        page.locator(".menu summary").click()
        frame = pandas.read_csv(io.BytesIO(fetched(page, "List as CSV")), parse_dates=["taken_at", "seen_at"])
        assert list(frame["name"]) == chosen and frame["source_path"].str.contains("/Möhre/").all()
        assert frame["taken_at"].dt.second.iloc[0] == 57 and frame["width"].dtype == "int64"
        sheet = openpyxl.load_workbook(io.BytesIO(fetched(page, "List for Excel"))).active
        rows = [dict(zip([cell.value for cell in sheet[1]], row, strict=True)) for row in
                sheet.iter_rows(min_row=2, values_only=True)]  # fmt: skip
        assert [row["name"] for row in rows] == chosen
        assert rows[0]["taken_at"].isoformat() == "2024-01-31T10:15:57" and rows[0]["confidence"] == 0.6

        bar.get_by_role("button", name="dog", exact=True).click()
        page.get_by_text("40 photos recorded as dog.").first.wait_for()
        assert outcomes(pawsort).count("dogs") == 40 and boxes.count() == COUNT - 40
        page.get_by_role("button", name="Undo your last correction").click()
        page.get_by_text("The last change of 40 photos is undone.").first.wait_for()
        assert set(outcomes(pawsort)) == {"uncertain"}
        assert (window.complaints, window.foreign) == ([], [])
    conserved(pawsort.settings, pawsort.injected)


def test_all_of_a_page_are_selected_by_keys_and_limits_are_said_before_they_are_met(
    live: tuple[str, Installation], browser: Any
) -> None:
    address, _ = live
    with Window(browser, address, "phone", "dark", lax=True) as window:
        page = window.page
        page.goto("/browse")
        page.locator("#all").press("Enter")
        assert page.locator("#count").inner_text() == "48 photos selected"
        page.get_by_role("link", name="Show more").click()
        page.locator(".pick input").nth(COUNT - 1).wait_for()
        assert page.locator("#count").inner_text() == "48 photos selected"
        page.locator("#all").press("Enter")
        assert page.locator("#count").inner_text() == "60 photos selected"
        page.evaluate("() => { document.querySelector('#chosen').dataset.mostCorrected = 50;"
                      "for (const each of document.querySelectorAll('.corrects [data-most]'))"
                      "  each.dataset.most = 50; }")  # fmt: skip
        page.locator(".pick input").nth(1).uncheck()
        assert page.locator("#limit").inner_text() == "At most 50 can be corrected or undone at once."
        assert page.locator(".corrects button").first.is_disabled()
        assert page.get_by_role("button", name="Download", exact=True).is_enabled()
        page.keyboard.press("Escape")
        assert page.locator("#chosen").is_hidden()
        page.locator(".pick input").first.focus()
        page.keyboard.press("Space")
        assert page.locator("#count").inner_text() == "1 photo selected"
        assert (window.barriers(), window.small_targets(), window.scrolls_sideways()) == ([], [], False)
        page.keyboard.press("Control+a")
        assert page.locator("#count").inner_text() == "60 photos selected"
        assert window.complaints == []


def test_the_view_goes_on_by_keys_and_back_to_the_list(live: tuple[str, Installation], browser: Any) -> None:
    address, _ = live
    with Window(browser, address, "phone") as window:
        page = window.page
        page.goto("/browse?name=1")

        def press(key: str) -> None:
            page.wait_for_load_state()  # the script that hears the keys is run at the end of the page
            page.wait_for_function("document.hasFocus()")
            page.keyboard.press(key)

        page.get_by_role("link", name="View 51.jpg in full size").click()
        page.locator('img[alt="51.jpg"]').wait_for()
        press("ArrowRight")
        page.locator('img[alt="41.jpg"]').wait_for()
        size = page.locator(".whole img").evaluate(
            "async (img) => { await img.decode(); return img.naturalWidth; }"
        )
        assert size == 160 + 41, "the original"
        press("ArrowLeft")
        page.locator('img[alt="51.jpg"]').wait_for()
        assert not window.scrolls_sideways() and window.small_targets() == []
        press("Escape")
        page.wait_for_url("**/browse?name=1#photo-52")
        assert window.complaints == []


def test_the_path_is_copied_without_https_and_folders_are_suggested(
    live: tuple[str, Installation], browser: Any
) -> None:
    address, pawsort = live
    with Window(browser, address) as window:
        page = window.page
        page.goto("/files/8")
        page.evaluate("() => Object.defineProperty(window, 'isSecureContext', {value: false})")
        page.evaluate(
            "() => document.addEventListener('copy', () => { window.copied = document.activeElement.value; })"
        )
        page.get_by_role("button", name="Copy the path").click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("() => window.copied") == str(pawsort.settings.sorted / "uncertain/Möhre/07.jpg")
        page.get_by_role("link", name="All photos of this folder").click()
        page.locator(".photo").first.wait_for()
        page.locator("#f-folder").fill("")
        page.locator("#f-folder").press_sequentially("uncertain/m")
        page.locator('#folders option[value="uncertain/Möhre"]').wait_for(state="attached")
        assert window.complaints == []


def test_a_photo_that_is_gone_says_so_in_the_list(live: tuple[str, Installation], browser: Any) -> None:
    address, pawsort = live
    pawsort.file(b"gone.jpg", b"another", "dogs")
    (pawsort.settings.sorted / "dogs/gone.jpg").unlink()
    with Window(browser, address) as window:
        page = window.page
        page.goto("/browse?name=gone")
        page.locator(".photo .nopicture", has_text="the file is missing").wait_for()
        page.locator(".pick input").check()
        page.locator("#chosen").get_by_role("button", name="cat", exact=True).click()
        page.locator(".undone", has_text="gone.jpg: is missing").wait_for()
        assert window.complaints == []
