"""Review, learn, compare, promote and roll back in a real browser, and how that looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.learning import versions
from tests.end_to_end.browser import Device, Window, chromium
from tests.support.installation import QUICK, Installation
from tests.support.learnt_records import GO, change, contradiction, learnt, stand_in
from tests.support.live_server import running
from tests.support.model_versions import add_version, small_bundle
from tests.support.pictures import encode, scene

PHOTOS = 22
PICTURES = os.environ.get("PAWSORT_TEST_PICTURES")
"""A folder for screenshots, for those who want to look."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def pawsort(tmp_path: Path) -> Iterator[Installation]:
    """Photos in doubt, and a small bundle as model."""
    small_bundle(tmp_path / "models" / "pets")
    pawsort = Installation(tmp_path, QUICK + "model: pets\nlearn: {min_new: 20}\n")
    for number in range(PHOTOS):
        data = encode(scene(160 + number, 120), "JPEG")
        doubt = {
            "reason": "low_confidence",
            "confidence": 0.4 + number / 100,
            "scores": {"cat": 0.4, "dog": 0.3},
        }
        pawsort.file(b"%d.jpg" % number, data, "uncertain", **doubt)
    yield pawsort
    pawsort.close()


def in_force(pawsort: Installation) -> str:
    return versions.chain(versions.family(pawsort.settings))[0].name


def keep(window: Window, name: str) -> None:
    """Keep a screenshot in PICTURES."""
    if PICTURES:
        for image in window.page.locator("img[loading=lazy]").all():
            image.scroll_into_view_if_needed()
            window.page.wait_for_function("(one) => one.complete", arg=image.element_handle())
        window.page.evaluate("() => scrollTo(0, 0)")
        window.page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def test_answers_are_learnt_from_compared_promoted_and_rolled_back(
    browser: Any, pawsort: Installation
) -> None:
    """By the keyboard: the answers by their keys, everything else by Enter on what has the focus."""
    command = stand_in(pawsort.config, "held")
    with running(pawsort.settings, learn=command) as address, Window(browser, address) as window:
        page = window.page
        page.goto("/models")
        page.get_by_text("Learning needs at least 20 answers: 20 more.").wait_for()
        page.locator("#to-review").press("Enter")
        page.wait_for_url("**/review")  # loaded with its scripts; a key before that goes nowhere
        for left in range(PHOTOS - 1, -1, -1):
            page.keyboard.press("cd"[left % 2])
            page.get_by_text(f"{left} left." if left else "All reviewed.").wait_for()
        page.reload()
        page.locator("#teaching").get_by_text(f"{PHOTOS} so far").wait_for()
        page.locator("#teaching a").press("Enter")
        page.get_by_role("heading", name=f"Learn from {PHOTOS} answers").wait_for()
        page.locator("#learn").press("Enter")
        page.get_by_text("Looking at the photos: 120 of 400").wait_for()
        page.get_by_text("about 2 minutes left").wait_for()
        (pawsort.settings.state / GO).touch()
        page.get_by_role("link", name="compare pets@1").press("Enter")
        page.get_by_text("answers 18 better and 3 worse than pets").wait_for()
        assert in_force(pawsort) == "pets"
        page.locator("#promote").press("Enter")
        page.get_by_text("It answers with pets@1 once it is started").wait_for()
        assert in_force(pawsort) == "pets@1"
        page.locator("#rollback").press("Enter")
        page.get_by_text("It answers with pets once it is started").wait_for()
        assert in_force(pawsort) == "pets"
        assert (window.complaints, window.foreign) == ([], [])


def test_a_second_tab_is_told_that_another_version_came_into_force(
    browser: Any, pawsort: Installation
) -> None:
    for number in (1, 2):
        add_version(pawsort.settings, number, learnt=learnt(f"pets@{number}"))
    with running(pawsort.settings) as address, Window(browser, address) as window:
        other = window.context.new_page()
        other.goto("/models/versions/2")
        window.page.goto("/models/versions/1")
        window.page.locator("#promote").click()
        window.page.get_by_text("It answers with pets@1").wait_for()
        other.locator("#promote").click()
        other.get_by_text("since you looked; nothing was changed").wait_for()
        assert in_force(pawsort) == "pets@1"
        other.locator("#promote").click()  # knowing it now
        other.get_by_text("It answers with pets@2").wait_for()


def test_polling_keeps_the_focus_and_says_only_the_end(browser: Any, pawsort: Installation) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    command = stand_in(pawsort.config, "held")
    with running(pawsort.settings, learn=command) as address, Window(browser, address) as window:
        page = window.page
        ids = [id for (id,) in pawsort.rows("id")]
        for start in range(0, PHOTOS, 11):
            names = [b"uncertain/%d.jpg" % number for number in range(start, min(start + 11, PHOTOS))]
            pawsort.correct(*names, label="cat")
        assert len(ids) == PHOTOS
        page.goto("/models")
        page.locator("#learn").click()
        page.get_by_text("Looking at the photos").wait_for()
        page.locator("#version-1").focus()
        (pawsort.settings.state / GO).touch()
        page.get_by_role("link", name="compare pets@2").wait_for()
        assert page.evaluate("document.activeElement.id") == "version-1"
        page.locator("#announcer").get_by_text("Learning is done.").wait_for(state="attached")
        assert (window.complaints, window.foreign) == ([], [])


def prepared(pawsort: Installation, state: str) -> str:
    """Bring about one state of the pages; return the address that shows it."""
    if state == "none":
        return "/models"
    names = [b"uncertain/%d.jpg" % number for number in range(PHOTOS)]
    pawsort.correct(*names, label="cat")
    ids = [id for (id,) in pawsort.rows("id")]
    flips = [change(id, "cats", "uncertain" if n % 3 else "dogs") for n, id in enumerate(ids)]
    record = learnt(contradictions=[contradiction(id, "cat", "dog") for id in ids[:3]], changed=flips)
    if state != "answers":
        add_version(pawsort.settings, 1, learnt=record)
    if state in ("in force", "worse"):
        no = {
            "verdict": {
                "better": False,
                "reason": "Many judged labels seem wrong: 30 of 100 are contradicted.",
            }
        }
        add_version(pawsort.settings, 2, learnt=learnt("pets@2", "pets@1") | no)
        versions.promote(pawsort.settings, 1, "Annabel with a longer name")
    if state == "damaged":
        (pawsort.settings.state / "models" / "pets" / "1" / "learnt.json").write_text("[")
    return {
        "better": "/models/versions/1",
        "worse": "/models/versions/2",
        "damaged": "/models/versions/1",
    }.get(state, "/models")


@pytest.mark.parametrize(
    ("state", "device"),
    [
        ("answers", "phone"), ("in force", "phone"), ("better", "desktop"),
        pytest.param("in force", "desktop", marks=pytest.mark.long),
        *(pytest.param(s, "phone", marks=pytest.mark.long) for s in ("none", "better", "worse", "damaged")),
    ],
)  # fmt: skip
def test_every_state_is_in_reach_of_all(
    browser: Any, pawsort: Installation, state: str, device: Device
) -> None:
    path = prepared(pawsort, state)
    scheme = "dark" if device == "phone" else "light"
    with running(pawsort.settings, learn=["false"]) as address:
        with Window(browser, address, device, scheme, lax=True) as window:
            window.page.goto(path)
            window.page.locator("h1").wait_for()
            assert window.barriers() == []
            assert not window.scrolls_sideways()
            assert window.small_targets() == []
            keep(window, f"{state}-{device}".replace(" ", "-"))
            window.page.set_viewport_size({"width": 320, "height": 640})
            assert not window.scrolls_sideways(), "at 320 pixels, as at a zoom of 400%"
            keep(window, f"{state}-{device}-320".replace(" ", "-"))
        with Window(browser, address, device, lax=True, forced_colors="active") as window:
            window.page.goto(path)
            assert window.barriers() == []
            keep(window, f"{state}-{device}-forced".replace(" ", "-"))


@pytest.mark.parametrize(
    "how", ["held", *(pytest.param(how, marks=pytest.mark.long) for how in ("fail", "silent"))]
)
def test_progress_and_failure_are_in_reach_of_all(browser: Any, pawsort: Installation, how: str) -> None:
    prepared(pawsort, "answers")
    words = {"held": "Looking at the photos", "fail": "The last learning failed", "silent": "was stopped"}[
        how
    ]
    with (
        running(pawsort.settings, learn=stand_in(pawsort.config, how)) as address,
        Window(browser, address, "phone", lax=True) as window,
    ):
        window.page.goto("/models")
        window.page.locator("#learn").click()
        window.page.get_by_text(words).wait_for()
        assert window.barriers() == [] and not window.scrolls_sideways()
        keep(window, f"learning-{how}")
        if how == "held":
            (pawsort.settings.state / GO).touch()
            window.page.get_by_role("link", name="compare pets@1").wait_for()
            keep(window, "learning-done")


def test_without_scripts_it_works_too(browser: Any, pawsort: Installation) -> None:
    add_version(pawsort.settings, 1, learnt=learnt())
    with running(pawsort.settings) as address, Window(browser, address, java_script_enabled=False) as window:
        page = window.page
        page.goto("/models/versions/1")
        page.locator("#promote").click()
        page.get_by_text("It answers with pets@1").wait_for()
        page.locator("#rollback").click()
        page.get_by_text("It answers with pets once").wait_for()
        assert in_force(pawsort) == "pets"
