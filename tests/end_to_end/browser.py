"""A real Chromium for the pages, and what it must never see there."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
"""Deque's checks for accessibility, under the MPL 2.0; its licence lies beside it."""

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
Device = Literal["desktop", "phone"]
Scheme = Literal["light", "dark"]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: `apt install chromium`")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A page of a browser that remembers every complaint and every request to another host."""

    def __init__(
        self,
        browser: Any,
        address: str,
        device: Device = "desktop",
        scheme: Scheme = "light",
        *,
        lax: bool = False,
        **options: Any,
    ) -> None:
        width, height = SIZES[device]
        phone = {"is_mobile": True, "has_touch": True} if device == "phone" else {}
        self.context = browser.new_context(
            base_url=address,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            bypass_csp=lax,  # axe is put into the page, which the page's own policy forbids
            **phone,
            **options,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self._see(request.url, address))

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:  # a waiting that ended says what it waited for, not what was there instead
            with contextlib.suppress(Exception):
                error.add_note(
                    f"{self.page.url} showed:\n{self.page.inner_text('body', timeout=5_000)[:2000]}"
                )
                error.add_note(f"complaints: {self.complaints}")
        self.context.close()

    def barriers(self, least: Literal["minor", "serious"] = "serious") -> list[str]:
        """What axe finds on the page of this impact or more, one line each; small targets, too."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.add_script_tag(content=AXE)
        found = self.page.evaluate(
            "() => axe.run(document, {resultTypes: ['violations'], rules: {'target-size': {enabled: true}}})"
        )
        counts = {"serious", "critical"} | ({"minor", "moderate"} if least == "minor" else set())
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for violation in found["violations"]
            if violation["impact"] in counts
            for node in violation["nodes"]
        ]

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the window."""
        wide = self.page.evaluate(
            "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return bool(wide)

    def small_targets(self) -> list[str]:
        """What can be pressed and is less than 44 pixels high; links in running text may be."""
        found = self.page.evaluate(
            """() => [...document.querySelectorAll("button, .button, nav a, input, select, summary")]
                .filter((element) => element.checkVisibility() && !element.closest(".unseen")
                    && !element.classList.contains("unseen") && !element.closest("label"))
                .filter((element) => element.getBoundingClientRect().height < 43.5)
                .map((element) => element.outerHTML.slice(0, 160))"""
        )
        return list(found)

    def _hear(self, message: Any) -> None:
        # What the server refuses on purpose is an error to a browser too.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _see(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.foreign.append(url)
