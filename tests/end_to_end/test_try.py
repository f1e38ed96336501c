"""From a photo in the browser to its correction in the report, with a real worker and the shipped models."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.web.served_models.model_registry import SHIPPED
from tests.end_to_end.browser import Window, chromium
from tests.end_to_end.conftest import CommandInstallation, picture
from tests.support.oracle import conserved

pytestmark = pytest.mark.timeout(600)

MODEL_MS = 300_000
"""How long a model may take to wake: seconds, or minutes on a machine that does much else."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pawsort(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[CommandInstallation]:
    """A worker, and a server beside it; both stay for all tests here."""
    pawsort = CommandInstallation(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(pawsort.folder / "cache"))  # where imagenet is not made yet
        shutil.copytree(SHIPPED / "cifar10", pawsort.folder / "models" / "trained_here")
        pawsort.address = pawsort.serve()
        yield pawsort
    pawsort.close()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    made = [folder / "one.jpg", folder / "<b>two & 3.jpg"]
    for seed, path in enumerate(made):
        path.write_bytes(picture(seed))
    (folder / "diary.txt").write_text("dear diary")
    return [*made, folder / "diary.txt"]


def test_a_photo_is_classified_explained_delivered_filed_and_corrected(
    pawsort: CommandInstallation, browser: Any, photos: list[Path]
) -> None:
    with Window(browser, pawsort.address) as window:
        page = window.page
        page.goto("/")
        page.set_input_files("#files", [str(photo) for photo in photos])
        cards = page.locator(".answer:not(.pending)")
        cards.nth(2).wait_for(timeout=MODEL_MS)
        assert set(cards.locator(".name").all_text_contents()) == {photo.name for photo in photos}
        [answer] = classified(pawsort, photos[0])
        one = cards.filter(has_text="one.jpg")
        best = max(answer["scores"], key=answer["scores"].__getitem__)
        assert one.locator(".bars .first").inner_text().split()[0] == best
        assert one.locator(".bars > li").count() == 3
        assert one.locator(".pill").inner_text() == answer["outcome"]
        assert "content is not an image" in cards.filter(has_text="diary.txt").inner_text()
        assert pawsort.injected == [] and list(pawsort.inbox.iterdir()) == []

        one.get_by_role("button", name="Show heatmap").click()
        one.locator(".heat").wait_for(timeout=MODEL_MS)
        one.get_by_role("button", name="Show photo").click()
        assert not one.locator(".heat").is_visible()

        worker = pawsort.start()
        one.get_by_role("button", name="Send to inbox").click()
        page.get_by_text("It is in the inbox as").wait_for()
        pawsort.injected.append(photos[0].read_bytes())
        pawsort.wait_until_filed(1)
        [(name, *filed)] = results(pawsort)
        assert name.startswith("upload-") and filed == [answer["outcome"], None] == ["uncertain", None]

        page.goto("/review")
        for key, left, outcome, label in (
            ("d", "All reviewed.", "dogs", "dog"), ("u", "1 left.", "uncertain", None),
            ("c", "All reviewed.", "cats", "cat"),
        ):  # fmt: skip
            page.keyboard.press(key)
            page.get_by_text(left).wait_for()
            assert results(pawsort) == [(name, outcome, label)]
            assert [path.parent.name for path in pawsort.settings.sorted.rglob("*.jpg")] == [outcome]
        assert (window.complaints, window.foreign) == ([], [])
    assert pawsort.stop(worker) == 143
    conserved(pawsort.settings, pawsort.injected)
    done = pawsort.command("report", "--date", f"{datetime.now(UTC):%Y-%m-%d}")
    assert done.returncode == 0, done.stderr
    with (pawsort.settings.reports / "latest-images.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["outcome"], row["corrected_to"]) for row in rows] == [(name, "cats", "cat")]


def results(pawsort: CommandInstallation) -> list[tuple[str, str, str | None]]:
    with contextlib.closing(sqlite3.connect(pawsort.settings.state / "pawsort.db")) as database:
        return database.execute("SELECT name, outcome, corrected_to FROM results").fetchall()


CARD = """<article class="card answer"><p class="name">gone.jpg</p><p class="verdict">Cat</p>
<button class="send">Send to inbox</button><div class="said"></div></article>"""


def test_what_the_browser_cannot_read_is_not_blamed_on_the_server(
    pawsort: CommandInstallation, browser: Any, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "gone.jpg").write_bytes(picture(1))
    with Window(browser, pawsort.address) as window:
        page = window.page
        page.goto("/")
        page.route("**/try", lambda route: route.fulfill(body=CARD))
        page.set_input_files("#files", [str(path) for path in sorted(tmp_path.iterdir())])
        answers = page.locator(".answer:not(.pending)")
        answers.nth(1).wait_for()
        assert "it has 0 bytes" in answers.filter(has_text="empty.jpg").inner_text()
        (tmp_path / "gone.jpg").unlink()
        page.get_by_role("button", name="Send to inbox").click()
        page.locator(".said .error").wait_for()
        assert "moved or changed since" in page.locator(".said").inner_text()


@pytest.mark.long
def test_each_model_gives_its_own_answer_to_the_same_photo(
    pawsort: CommandInstallation, browser: Any, photos: list[Path]
) -> None:
    with Window(browser, pawsort.address) as window:
        page = window.page
        page.goto("/")
        page.set_input_files("#files", str(photos[0]))
        seen = {key: seen_by(page, key) for key in ("cats_dogs", "cifar10", "trained_here")}
        assert "The worker would move it to" in seen["cats_dogs"]
        for key in ("cifar10", "trained_here"):
            assert (
                "With this model, the worker would move it to" in seen[key] and "5 more classes" in seen[key]
            )
        assert not page.get_by_role("radio", name="imagenet").is_enabled()
        assert "--weights FILE" in page.locator(".choice.missing").inner_text()
        page.goto("/?model=imagenet")
        page.get_by_text("The model imagenet is not made yet.").wait_for()
        assert (window.complaints, window.foreign) == ([], [])


@pytest.mark.long
def test_a_model_without_folders_names_what_it_sees_and_files_nothing(
    pawsort: CommandInstallation,
    browser: Any,
    photos: list[Path],
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "XDG_CACHE_HOME", str(pawsort.folder / "cache")
    )  # that of the server, which began before
    weights = shared_data.parent / "weights" / "mobilenet_v2_imagenet.weights.h5"
    made = pawsort.command(
        "classify", str(photos[0]), "--model", "imagenet", "--weights", str(weights), "--json"
    )
    assert made.returncode == 0, made.stderr
    with Window(browser, pawsort.address) as window:
        page = window.page
        page.goto("/?model=imagenet")
        page.set_input_files("#files", str(photos[0]))
        said = seen_by(page, "imagenet")
        assert "so the worker cannot sort files with it" in said and "995 more classes" in said
        [answer] = json.loads(made.stdout)
        assert [part.split()[0] for part in page.locator(".bars > li").all_inner_texts()] == [
            label.split()[0] for label in answer["scores"]
        ]
        assert page.locator(".answer .pill").count() == 0
        page.get_by_role("button", name="Show heatmap").click()
        page.locator(".heat").wait_for(timeout=MODEL_MS)
        assert window.complaints == []


def seen_by(page: Any, key: str) -> str:
    """Choose a model, and return what its answer to the only photo says."""
    page.locator(f'input[type="radio"][value="{key}"]').check()
    card = page.locator(f'.answer[data-model="{key}"]')
    card.locator(".bars").wait_for(timeout=MODEL_MS)
    return str(card.inner_text())


def classified(pawsort: CommandInstallation, photo: Path) -> Any:
    done = subprocess.run(
        ["curl", "-sf", "-F", f"file=@{photo}", f"{pawsort.address}/api/classify"],
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)
