"""watchdog's reader of inotify is not public: this is all that Pawsort needs of it."""

from __future__ import annotations

import inspect
import os
import re
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from pipeline.watch import inotify
from pipeline.watch.inotify import InotifyWatch, PendingEvents

ROOT = Path(__file__).parents[3]
ADVICE = (
    f"watchdog {version('watchdog')} has changed its inotify reader. Pin the old version in pyproject.toml, "
    "or adapt pipeline/watch/inotify.py, the only module that uses it; without it an inbox is polled."
)


def test_one_module_alone_uses_watchdog() -> None:
    uses = [
        str(path.relative_to(ROOT))
        for room in ("pipeline", "models", "db")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"^\s*(from|import) watchdog", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert uses == ["pipeline/watch/inotify.py"]


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        ("InotifyFD", ["add_callback", "start", "stop", "join", "is_alive"]),
        ("WatchCallback", ["on_event", "on_watch_deleted", "on_queue_overflow"]),
        ("InotifyEvent", ["wd", "name", "is_directory"]),
        (
            "InotifyConstants",
            ["IN_CREATE", "IN_MOVED_TO", "IN_CLOSE_WRITE", "IN_DELETE_SELF", "IN_ONLYDIR", "IN_EXCL_UNLINK"],
        ),
    ],
)
def test_the_private_names_that_pawsort_uses_exist(owner: str, names: list[str]) -> None:
    found = getattr(inotify_c, owner, None)
    assert found is not None, ADVICE
    known = {*dir(found), *getattr(found, "__annotations__", {})}
    assert set(names) <= known, ADVICE


def test_the_methods_that_watchdog_calls_take_what_it_passes() -> None:
    for name in ("on_event", "on_watch_deleted", "on_queue_overflow"):
        wanted = len(inspect.signature(getattr(inotify_c.WatchCallback, name)).parameters)
        assert len(inspect.signature(getattr(InotifyWatch, name)).parameters) == wanted, ADVICE
    parameters = list(inspect.signature(inotify_c.InotifyFD.add_callback).parameters)
    assert len(parameters) == 5, ADVICE


def test_the_reader_reports_a_new_file_and_ends(tmp_path: Path) -> None:
    events = PendingEvents()
    before = threading.active_count()
    watch = InotifyWatch(events)
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        watch.cover(folder, b"below")
        seen = watch.expect(b"probe")
        (tmp_path / "cat.jpg").touch()
        (tmp_path / "new").mkdir()
        (tmp_path / "probe").touch()
        assert seen.wait(10), ADVICE
        batch = events.take()
        assert set(batch.files) == {b"below/cat.jpg"}, ADVICE
        assert batch.folders == [b"below/new"], ADVICE
        assert watch.alive, ADVICE
    finally:
        os.close(folder)
        watch.stop()
    assert (watch.alive, threading.active_count()) == (False, before), ADVICE


def test_a_folder_that_may_not_be_read_is_refused_with_minus_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inotify_c.InotifyFD, "add_callback", lambda *_: -1)
    watch = InotifyWatch(PendingEvents())
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(inotify.WatchError, match="may not read"):
            watch.cover(folder, b"")
    finally:
        os.close(folder)
        watch.stop()
