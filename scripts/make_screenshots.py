"""Make the pictures of the pages for the documentation: `python -m scripts.make_screenshots`.

Draws its own photos, has a real worker sort them with the shipped model, and looks at the pages in Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.drawn_pets import draw
from tests.end_to_end.browser import SIZES, Device, Scheme, Window, chromium

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "pictures"
PATIENCE_SECONDS = 900.0
PHOTOS = {"cat": 22, "dog": 20, "thing": 8}


def main() -> None:
    """Make all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TARGET, help="the folder for the pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        place = Path(folder) / "pets"
        photos = prepare(place)
        run(place, "run", "--once")
        # Correct some, so that the pages show corrections too.
        dogs = sorted(map(str, (place / "sorted" / "uncertain").glob("dog-*.jpg")))[:9]
        run(place, "correct", *dogs, "--as", "dog", "--by", "ann")
        with serving(place) as address:
            take(browser, address, out, photos)
    print(f"made {len(list(out.glob('*.png')))} pictures in {out}", file=sys.stderr)


def prepare(place: Path) -> dict[str, Path]:
    """Make settings and an inbox of drawn photos; return some that are only shown."""
    (place / "inbox").mkdir(parents=True)
    (place / "config.yaml").write_text("engine: tensorflow\nwatch: {settle_seconds: 0}\n", encoding="utf-8")
    for kind, count in PHOTOS.items():
        for number in range(count):
            draw(kind, number).save(place / "inbox" / f"{kind}-{number:02}.jpg", quality=88)
    (place / "inbox" / "notes.txt").write_text("buy cat food", encoding="utf-8")
    whole = (place / "inbox" / "dog-01.jpg").read_bytes()
    (place / "inbox" / "half a dog.jpg").write_bytes(whole[: len(whole) // 2])
    shown = {kind: place / f"{name}.jpg" for kind, name in (("cat", "on the sofa"), ("dog", "rex"))}
    for kind, path in shown.items():
        draw(kind, 100).save(path, quality=90)
    return shown


def run(place: Path, *words: str) -> None:
    """Run a command to its end."""
    line = [*_pawsort(), *words, "--config", str(place / "config.yaml")]
    subprocess.run(line, timeout=PATIENCE_SECONDS)  # noqa: S603 - our own


@contextlib.contextmanager
def serving(place: Path) -> Iterator[str]:
    """Show the pages of a place."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [*_pawsort(), "serve", "--port", str(port), "--config", str(place / "config.yaml")]
    server = subprocess.Popen(line)  # noqa: S603 - our own
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def take(browser: Any, address: str, out: Path, photos: dict[str, Path]) -> None:
    """Take a picture of each page."""
    for name in ("review", "browse", "today"):
        with window(browser, address, "desktop", "dark" if name == "today" else "light") as (page, snap):
            page.goto(f"/{name}")
            page.wait_for_load_state("load")
            page.wait_for_timeout(3000)  # thumbnails are drawn at low priority
            snap(out / f"{name}.png")
    with window(browser, address, "phone", "dark") as (page, snap):
        page.goto("/review")
        page.wait_for_timeout(3000)
        snap(out / "phone.png")
    with window(browser, address, "desktop", "light") as (page, snap):
        _try(page, photos)
        snap(out / "try.png")


@contextlib.contextmanager
def window(browser: Any, address: str, device: Device, scheme: Scheme) -> Iterator[Any]:
    """Open a window, and yield a function that takes a screenshot of it."""
    with Window(browser, address, device, scheme) as opened:
        opened.page.set_default_timeout(1000 * PATIENCE_SECONDS)
        yield opened.page, lambda path: _save(opened.page.screenshot(), path, SIZES[device][0])


def _try(page: Any, photos: dict[str, Path]) -> None:
    page.goto("/")
    for kind in ("dog", "cat"):
        page.set_input_files("#files", str(photos[kind]))
        page.locator(".answer:not(.pending)", has_text=photos[kind].name).locator(".bars").wait_for()
    page.locator(".look").first.click()
    page.locator(".heat").wait_for()
    page.wait_for_timeout(1000)
    page.evaluate("() => scrollTo(0, 0)")


def _save(shot: bytes, path: Path, width: int) -> None:
    """Write a small PNG: 112 colours are enough for a page."""
    path.write_bytes(shot)
    with Image.open(path) as image:
        small = image.convert("RGB").resize((width, round(image.height * width / image.width)))
        small.quantize(112, Image.Quantize.MEDIANCUT).save(path, optimize=True)


def _pawsort() -> list[str]:
    return [sys.executable, str(ROOT / "run_worker.py")]


def _wait_for(address: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/healthz").close()  # noqa: S310 - http
            return
        time.sleep(0.2)
    raise TimeoutError("the server did not start")


if __name__ == "__main__":
    main()
