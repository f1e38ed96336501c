"""Take screenshots of every page, on a desktop and a phone, light and dark: `python -m scripts.page_views`.

Shows the effect of a change on every page. The pages come from a running server, with its photos; this
program starts a server for empty pages.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.make_screenshots import PATIENCE_SECONDS, serving
from tests.end_to_end.browser import Device, Scheme, Window, chromium

WAYS: tuple[tuple[Device, Scheme], ...] = (
    ("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark"),
)  # fmt: skip
TOKEN = "only for these pictures"  # noqa: S105 - of a server that lives for seconds
PHOTO, CARD = ".photo", ".grid .card a"

PAGES = {
    "try": ("/", None),
    "review": ("/review", None),
    "check": ("/check", None),
    "check-wrong": ("/check?wrong=1", None),
    "many": ("/review?many=1", None),
    "browse": ("/browse", None),
    "filters": ("/browse?low=60&high=99", None),
    "nothing-found": ("/browse?name=zanzibar", None),
    "file": ("/browse?outcome=cats", PHOTO),
    "settled-file": ("/browse?corrected=yes", PHOTO),
    "broken-file": ("/browse?outcome=failed", PHOTO),
    "today": ("/today", None),
    "reports": ("/reports", None),
    "models": ("/models", None),
    "model": ("/models", CARD),
    "error": ("/nowhere", None),
}
"""Each picture: its address, and what to press there to come to the page."""

EMPTY = ("review", "check", "browse", "today", "reports", "models")


@dataclass(frozen=True, slots=True)
class Camera:
    """Takes the whole of what `page` shows, into files that end in `way`; only those in `wanted`, if any."""

    page: Any
    out: Path
    way: str
    wanted: Collection[str]

    def go(self, name: str, path: str, press: str | None) -> None:
        """Open a page, and take it."""
        if self.wanted and name not in self.wanted:
            return
        self.page.goto(path)
        if press:
            with self.page.expect_navigation():
                self.page.locator(press).first.click()
        self.take(name)

    def take(self, name: str) -> None:
        """Take a screenshot, once all images are loaded."""
        self.page.evaluate(
            "() => document.querySelectorAll('img').forEach((one) => { one.loading = 'eager' })"
        )
        self.page.wait_for_function("() => [...document.images].every((image) => image.complete)")
        self.page.screenshot(path=self.out / f"{name}-{self.way}.png", full_page=True)

    def ask(self, photos: Sequence[Path]) -> None:
        """Show photos to the page Try, and take the answers with a heat map."""
        if not photos or (self.wanted and "answers" not in self.wanted):
            return
        self.page.goto("/")
        self.page.set_input_files("#files", [str(photo) for photo in photos])
        self.page.locator(".answer:not(.pending)").nth(len(photos) - 1).wait_for()
        self.page.locator(".look").first.click()
        self.page.locator(".heat").wait_for()
        self.take("answers")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of the server, such as http://127.0.0.1:8420")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="photos for the page Try")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the pictures")
    parser.add_argument("--only", nargs="*", default=[], help="names of pictures; all without")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        for device, scheme in WAYS:
            with Window(browser, options.address, device, scheme) as window:
                camera = _camera(window, options.out, f"{device}-{scheme}", options.only)
                for name, (path, press) in PAGES.items():
                    camera.go(name, path, press)
                camera.ask(options.photos)
                _report(window)
        if not options.only or {"login", *(f"empty-{name}" for name in EMPTY)} & set(options.only):
            _take_empty(browser, Path(folder), options.out, options.only)


def _camera(window: Window, out: Path, way: str, wanted: Collection[str]) -> Camera:
    window.page.set_default_timeout(1000 * PATIENCE_SECONDS)
    return Camera(window.page, out, way, wanted)


def _take_empty(browser: Any, folder: Path, out: Path, wanted: Collection[str]) -> None:
    (folder / "config.yaml").write_text(f"web: {{token: {TOKEN}}}\n", encoding="utf-8")
    with serving(folder) as address:
        for device, scheme in WAYS:
            with Window(browser, address, device, scheme) as window:
                camera = _camera(window, out, f"{device}-{scheme}", wanted)
                camera.go("login", "/login", None)
                camera.page.goto("/login")
                camera.page.get_by_label("Token").fill(TOKEN)
                with camera.page.expect_navigation():
                    camera.page.keyboard.press("Enter")
                for name in EMPTY:
                    camera.go(f"empty-{name}", *PAGES[name])
                _report(window)


def _report(window: Window) -> None:
    for line in (*window.complaints, *window.foreign):
        print(f"the browser complained: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
