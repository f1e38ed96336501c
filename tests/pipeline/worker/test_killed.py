"""A worker that dies at any step."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from db.ledger.ledger import Ledger
from pipeline.files import moves
from tests.support.crash import Death
from tests.support.installation import SMALL, Installation, run_until_idle
from tests.support.oracle import conserved

STEPS: list[tuple[Any, str]] = [
    (moves, "move"),
    (moves, "resume"),
    (moves, "sync_folders"),
    *(
        (Ledger, name)
        for name in ("claim", "vanish", "begin_decoding", "decide", "redirect", "file", "reclaim", "adopt")
    ),
]


def kill_at(monkeypatch: pytest.MonkeyPatch, point: int, *, after: bool) -> Callable[[], int]:
    """Let call number `point` of those that change something be the last, before or after its effect."""
    calls = 0

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == point and not after:
                raise Death
            result = original(*args, **kwargs)
            if calls == point and after:
                raise Death
            return result

        return call

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, wrap(getattr(owner, name)))
    return lambda: calls


def a_day_at_the_shelter(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"1<cat>")
    pawsort.drop("a.jpg", b"2<cat>", inbox=1)
    pawsort.drop("deep/b.jpg", b"3<dog>")
    pawsort.drop("twin.jpg", b"3<dog>")
    pawsort.drop("bad.jpg", b"<truncated>")
    pawsort.drop("poison.jpg", b"<crash>")


def test_a_copy_that_could_neither_be_finished_nor_taken_back_is_not_made_twice(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    refusals = 2
    unlink, rename = os.unlink, moves.rename

    def no_unlink(path: Any, **options: Any) -> None:
        nonlocal refusals
        if refusals and os.fsencode(path).count(b"/cats/a.jpg" if refusals == 1 else b"/spool/1-"):
            refusals -= 1
            raise OSError(errno.EIO, "Input/output error", path)
        unlink(path, **options)

    def across(source: bytes, destination: bytes) -> None:
        if os.path.dirname(source) != os.path.dirname(destination) and b"/sorted/" in destination:
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        rename(source, destination)

    monkeypatch.setattr(moves, "rename", across)
    monkeypatch.setattr("pipeline.files.moves.os.unlink", no_unlink)
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort.run_worker()
    assert not refusals
    assert pawsort.sorted() == {"cats/a.jpg"}
    conserved(pawsort.settings, pawsort.injected)


# What lies on the disk before a step is what lay there after the one before it: each way is tried once.
@pytest.mark.parametrize(
    ("after", "again"), [(False, 0), (True, 3)], ids=["before-it", "after-it-and-again-in-recovery"]
)
def test_killed_at_every_step_nothing_is_lost(tmp_path: Path, after: bool, again: int) -> None:
    point = 0
    while True:
        point += 1
        folder = tmp_path / str(point)
        folder.mkdir()
        pawsort = Installation(folder, SMALL)
        a_day_at_the_shelter(pawsort)
        died = 0
        for kill in (point, again):
            with pytest.MonkeyPatch.context() as patch:
                kill_at(patch, kill, after=after)
                worker = pawsort.worker()
                try:
                    run_until_idle(worker)
                except Death:
                    died += 1
                finally:
                    for inbox in worker.inboxes:
                        inbox.stop()  # it may be listing a folder, which ends with a process
        pawsort.run_worker()
        conserved(pawsort.settings, pawsort.injected)
        assert len(pawsort.rows()) == len(pawsort.injected), f"killed at {point}"
        pawsort.close()
        if not died:
            break
    assert point > 15, "the sweep met fewer points than there are steps"
