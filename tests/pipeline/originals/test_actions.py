"""With every action but `move`, a worker files photos and leaves the originals as they are."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.installation import Installation
from tests.support.originals import state_of

Install = Callable[[str], Installation]


def fill(pawsort: Installation) -> None:
    pawsort.drop("trip/day 1/good.jpg", b"1<cat>")
    pawsort.drop("trip/bad.jpg", b"<truncated>")
    pawsort.drop(b"dog \xff.jpg", b"<dog>")
    pawsort.drop("again.jpg", b"1<cat>")
    for path in (*pawsort.inbox.rglob("*"), pawsort.inbox):
        os.utime(path, ns=(1, 1_600_000_000_123_456_789))
        path.chmod(0o555 if path.is_dir() else 0o444)


FILED = {"cats/trip/day 1/good.jpg", "cats/again.jpg", "failed/trip/bad.jpg", "dogs/dog \udcff.jpg"}


def made(pawsort: Installation) -> set[str]:
    """Return the names of all that is in `sorted`, links too."""
    root = pawsort.settings.sorted
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_the_originals_stay_as_they_are_and_the_photos_are_filed(pawsort: Installation) -> None:
    fill(pawsort)
    before = state_of(pawsort.inbox)
    pawsort.run_worker()
    assert state_of(pawsort.inbox) == before
    assert made(pawsort) == FILED
    assert {path.read_bytes() for path in pawsort.settings.sorted.rglob("*.jpg")} == set(pawsort.injected)
    action = pawsort.settings.action_of(pawsort.inbox)
    assert pawsort.rows("DISTINCT state, action") == [("filed", action)]


def test_each_action_makes_what_it_says(install: Install) -> None:
    for action in ("copy", "hardlink", "symlink"):
        pawsort = install(action)
        original = pawsort.drop(f"{action}.jpg", b"<cat>" + action.encode())
        pawsort.run_worker()
        filed = pawsort.settings.sorted / "cats" / f"{action}.jpg"
        assert filed.is_symlink() == (action == "symlink")
        assert os.path.samefile(filed, original) == (action != "copy")
    assert os.readlink(filed) == os.fsdecode(original)
    copied, kept = (os.stat(folder / "copy.jpg") for folder in (filed.parent, pawsort.inbox))
    assert (copied.st_mtime_ns, copied.st_mode) == (kept.st_mtime_ns, kept.st_mode)


def test_the_other_inbox_moves(pawsort: Installation) -> None:
    pawsort.drop("scan.jpg", b"<dog>", inbox=1)
    pawsort.run_worker()
    assert made(pawsort) == {"dogs/scan.jpg"}
    assert not list(pawsort.settings.inboxes[1].iterdir())
    assert pawsort.rows("action") == [("move",)]


def test_what_was_taken_is_not_taken_again_in_this_run_or_the_next(pawsort: Installation) -> None:
    fill(pawsort)
    pawsort.run_worker()
    pawsort.run_worker()
    assert made(pawsort) == FILED
    assert len(pawsort.rows("id")) == 4


def test_a_changed_original_is_taken_again_and_a_renamed_one_is_not(pawsort: Installation) -> None:
    first, second = (pawsort.drop(f"{n}.jpg", b"%d<cat>" % n) for n in (1, 2))
    pawsort.run_worker()
    os.rename(first, first + b".renamed.jpg")
    with open(second + b".new", "wb") as file:
        file.write(b"edited<dog>")
    os.rename(second + b".new", second)
    pawsort.run_worker()
    assert made(pawsort) == {"cats/1.jpg", "cats/2.jpg", "dogs/2.jpg"}
    assert len(pawsort.rows("id")) == 3


@pytest.mark.parametrize("what", ["delete", "edit", "move"])
def test_what_people_do_in_sorted_does_not_take_the_original_again(pawsort: Installation, what: str) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    filed = pawsort.settings.sorted / "cats/a.jpg"
    if what == "delete":
        filed.unlink()
    elif what == "move":
        filed.rename(filed.parent.parent / "dogs.jpg")
    elif not filed.is_symlink():
        filed.unlink()
        filed.write_bytes(b"<cat>edited")
    before = state_of(pawsort.inbox)
    pawsort.run_worker()
    assert len(pawsort.rows("id")) == 1
    assert state_of(pawsort.inbox) == before


def test_killed_after_the_claim_the_original_stays(pawsort: Installation) -> None:
    fill(pawsort)
    before = state_of(pawsort.inbox)
    killed = pawsort.worker()
    killed.start()
    while not killed.in_flight.claim.claim_batch():
        killed.in_flight.intake.poll(0)
    killed.in_flight.claim.bring_in()  # and then it is gone: nothing else was done
    killed.stop()
    assert {state for (state,) in pawsort.rows("state")} == {"claimed"}
    pawsort.run_worker()
    assert state_of(pawsort.inbox) == before
    assert made(pawsort) == FILED
    assert len(pawsort.rows("id")) == 4
