"""`duplicates: hold`: a copy goes to duplicates/, and the only copy never does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pipeline.worker.repeats import OTHER, come_back, deleted, live
from tests.support.installation import SMALL, Installation, run_until_idle, step_until
from tests.support.oracle import conserved


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Installation]:
    pawsort = Installation(tmp_path, SMALL + "duplicates: hold\n")
    yield pawsort
    pawsort.close()


def moved_back(pawsort: Installation) -> None:
    come_back(pawsort, "dogs/a.jpg")
    pawsort.injected.pop()
    os.unlink(pawsort.settings.inboxes[0] / "a.jpg")


def replaced(pawsort: Installation) -> None:
    (pawsort.settings.sorted / "dogs/a.jpg").write_bytes(b"<bird")
    pawsort.injected[:] = [b"<bird"]


def swapped_for_a_folder(pawsort: Installation) -> None:
    deleted(pawsort)
    (pawsort.settings.sorted / "dogs/a.jpg").mkdir()


@pytest.mark.parametrize("away", [deleted, moved_back, swapped_for_a_folder, replaced])
def test_the_only_copy_is_never_held(holding: Installation, away: Callable[[Installation], None]) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    away(holding)
    holding.drop("b.jpg", b"<dog>")
    holding.run_worker()
    assert ("b.jpg", "dogs", None) in holding.rows("name, outcome, duplicate_of")


def test_a_photo_that_comes_back_is_not_held(holding: Installation) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    for name in ("a.jpg", "b.jpg"):
        come_back(holding, next(iter(holding.sorted())), name)
        live(holding)
        assert holding.sorted() == {f"dogs/{name}"}


def test_a_copy_of_what_failed_is_not_held(holding: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<corrupt>")
        live(holding)
    assert holding.sorted() == {"failed/a.jpg", "failed/b.jpg"}


def test_a_copy_of_what_is_only_held_is_not_held(holding: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<dog>")
        live(holding)
    deleted(holding)
    holding.drop("c.jpg", b"<dog>")
    live(holding)
    assert holding.sorted() == {"duplicates/b.jpg", "dogs/c.jpg"}
    holding.drop("d.jpg", b"<dog>")
    live(holding)
    assert "duplicates/d.jpg" in holding.sorted()


def test_a_copy_is_held_under_another_model_too_and_has_its_answer(holding: Installation) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    holding.drop("b.jpg", b"<dog>")
    live(holding, OTHER)
    assert holding.rows("outcome, model, duplicate_of")[1] == ("duplicates", "other", 1)


def test_two_of_one_content_that_come_back_together_are_one_and_a_duplicate(holding: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<dog>")
    live(holding)
    for name in holding.sorted():
        come_back(holding, name)
    live(holding)
    assert {path.split("/")[0] for path in holding.sorted()} == {"dogs", "duplicates"}


@pytest.mark.fault(70)
def test_another_disk_in_place_of_sorted_ends_no_row_and_holds_nothing(holding: Installation) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    worker = holding.worker()
    worker.start()
    os.rename(holding.settings.sorted, holding.settings.base / "away")
    (holding.settings.sorted / "dogs").mkdir(parents=True)
    holding.drop("b.jpg", b"<dog>")
    step_until(worker, lambda: worker.trouble)
    assert "another folder than at the start" in str(worker.trouble)
    (holding.settings.sorted / "dogs").rmdir()
    holding.settings.sorted.rmdir()
    os.rename(holding.settings.base / "away", holding.settings.sorted)
    worker._resume_at = 0.0
    run_until_idle(worker)
    worker.stop()
    assert holding.sorted() == {"dogs/a.jpg", "duplicates/b.jpg"}
    conserved(holding.settings, holding.injected)
