"""`undo` takes back corrections and filings, the newest first."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.files import moves
from tests.support.installation import Installation


def test_undo_takes_back_the_correction_and_then_the_filing(pawsort: Installation) -> None:
    id = pawsort.file(b"a/x.jpg")
    pawsort.correct(b"cats/a/x.jpg")
    [change] = pawsort.undo(last=1)
    assert change.outcome == "cats"
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/a/x.jpg")
    pawsort.undo(last=1)
    assert pawsort.state(id) == ("undone", None, None, b"inbox/a/x.jpg")
    assert pawsort.tree() == {b"inbox/a/x.jpg": b"cat"}
    assert pawsort.undo(last=1) == []


def test_undo_since_takes_back_all_that_is_newer(pawsort: Installation) -> None:
    old = pawsort.file(b"old.jpg", b"1")
    since = pawsort.time + timedelta(milliseconds=1)
    new = pawsort.file(b"new.jpg", b"2")
    pawsort.correct(b"cats/old.jpg", b"cats/new.jpg")
    pawsort.correct(b"dogs/new.jpg", label="neither")
    changes = pawsort.undo(since=since)
    assert [(change.id, change.outcome) for change in changes] == [
        (new, "dogs"), (new, "cats"), (old, "cats"), (new, None),
    ]  # fmt: skip
    assert pawsort.tree() == {b"sorted/cats/old.jpg": b"1", b"inbox/new.jpg": b"2"}


def test_undo_of_files_takes_back_the_last_change_of_each(pawsort: Installation) -> None:
    pawsort.file(b"x.jpg", b"1")
    pawsort.file(b"y.jpg", b"2")
    pawsort.correct(b"cats/x.jpg")
    changes = pawsort.undo(files=(b"dogs/x.jpg", b"cats/y.jpg", b"cats/none.jpg"))
    assert [bool(change.problem) for change in changes] == [False, False, True]
    assert pawsort.tree() == {b"sorted/cats/x.jpg": b"1", b"inbox/y.jpg": b"2"}


def test_undo_never_overwrites(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    (pawsort.settings.inboxes[0] / "x.jpg").write_bytes(b"new")
    pawsort.undo(last=1)
    assert pawsort.tree() == {b"inbox/x.jpg": b"new", b"inbox/x (2).jpg": b"cat"}
    assert pawsort.state(id)[3] == b"inbox/x (2).jpg"


def test_undo_of_a_correction_finds_room_beside_a_newer_file(pawsort: Installation) -> None:
    first = pawsort.file(b"x.jpg", b"1")
    pawsort.correct(b"cats/x.jpg")
    pawsort.file(b"x.jpg", b"2")
    pawsort.undo(files=(b"dogs/x.jpg",))
    assert pawsort.state(first)[3] == b"sorted/cats/x (2).jpg"
    assert pawsort.tree() == {b"sorted/cats/x.jpg": b"2", b"sorted/cats/x (2).jpg": b"1"}


def test_what_cannot_be_undone_is_said_and_the_rest_goes_on(pawsort: Installation) -> None:
    pawsort.file(b"x.jpg", b"1")
    pawsort.file(b"y.jpg", b"2")
    pawsort.correct(b"cats/x.jpg")
    (pawsort.settings.sorted / "dogs/x.jpg").write_bytes(b"?")
    changes = pawsort.undo(last=3)
    assert [change.problem for change in changes] == [
        "its content has changed since it was filed; nothing was moved",
        None,
        "a later change of it could not be reverted",
    ]
    assert pawsort.tree() == {b"sorted/dogs/x.jpg": b"?", b"inbox/y.jpg": b"2"}


def test_undo_makes_subfolders_again_but_not_the_inbox(pawsort: Installation) -> None:
    id = pawsort.file(b"a/b/x.jpg")
    shutil.rmtree(pawsort.raw_inbox)
    [change] = pawsort.undo(last=1)
    assert change.problem
    assert "is missing" in change.problem
    assert not os.path.exists(pawsort.raw_inbox)
    os.mkdir(pawsort.raw_inbox)
    pawsort.undo(last=1)
    assert pawsort.state(id)[3] == b"inbox/a/b/x.jpg"


def test_undo_into_an_inbox_that_is_a_link(pawsort: Installation, tmp_path: Path) -> None:
    id = pawsort.file(b"a/x.jpg")
    shutil.rmtree(pawsort.raw_inbox)
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", pawsort.raw_inbox)
    pawsort.undo(last=1)
    assert pawsort.state(id)[3] == b"inbox/a/x.jpg"
    assert (tmp_path / "elsewhere/a/x.jpg").read_bytes() == b"cat"


def test_the_worker_can_tell_what_was_put_back(pawsort: Installation) -> None:
    pawsort.file(b"x.jpg")
    pawsort.undo(last=1)
    path = pawsort.raw_inbox + b"/x.jpg"
    assert pawsort.ledger.put_back({path: moves.identity(path)}) == {path}


def test_undo_across_file_systems_keeps_track_of_the_new_file(pawsort: Installation) -> None:
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(pawsort.raw_inbox).st_dev:
        pytest.skip("needs /dev/shm on another file system than the temporary folder")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as far:
        pawsort.file(b"x.jpg")
        shutil.rmtree(pawsort.raw_inbox)
        os.symlink(far, pawsort.raw_inbox)
        pawsort.undo(last=1)
        path = pawsort.raw_inbox + b"/x.jpg"
        assert pawsort.ledger.put_back({path: moves.identity(path)}) == {path}
