"""An inbox in a folder of the test, and what it hands out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from pipeline.settings.sections import WatchSettings
from pipeline.watch.inbox import Inbox, SettledFile

QUIET = 0.05
Make = Callable[..., Inbox]


class Clock:
    """A clock that stands until it is pushed."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    made = []

    def make(mode: Literal["auto", "native", "polling"] = "native", **options: object) -> Inbox:
        settings = {"settle_seconds": QUIET, "rescan_seconds": 3600.0}
        settings |= {name: options.pop(name) for name in list(options) if name in WatchSettings.model_fields}
        inbox = Inbox(folder, WatchSettings(mode=mode, **settings), **options)  # type: ignore[arg-type]
        made.append(inbox)
        inbox.start()
        return inbox

    yield make
    for inbox in made:
        inbox.stop()


def collect(inbox: Inbox, count: int, seconds: float = 5.0) -> list[SettledFile]:
    """Poll as the worker does until so many files have come, claiming each by taking it away."""
    arrivals: list[SettledFile] = []
    end = time.monotonic() + seconds
    while len(arrivals) < count and time.monotonic() < end:
        for arrival in inbox.poll():
            arrivals.append(arrival)
            os.unlink(os.path.join(os.fsencode(arrival.inbox), arrival.source))
            inbox.forget(arrival)
        time.sleep(0.005)
    return arrivals


def names(inbox: Inbox, count: int, seconds: float = 5.0) -> set[bytes]:
    return {arrival.source for arrival in collect(inbox, count, seconds)}


def stepping(make: Make, **options: object) -> tuple[Inbox, Clock]:
    clock = Clock()
    return make("polling", clock=clock, settle_seconds=2.0, rescan_seconds=60.0, **options), clock
