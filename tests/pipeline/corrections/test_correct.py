"""`correct` moves a file to the folder of its label, and records who said so."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from sqlalchemy import update

from db.connection.engine import writing
from db.schema.tables import files
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.refused import NOTED_ONLY
from pipeline.errors import LockError, SettingsError
from pipeline.files import moves
from tests.pipeline.worker.refusing_disk import Disk
from tests.support.installation import FOLDERS, Installation
from tests.support.noted_rows import note_some, noted


def test_correct_moves_the_file_and_records_the_author(pawsort: Installation) -> None:
    id = pawsort.file(b"a/b/x.jpg")
    [change] = pawsort.correct(b"cats/a/b/x.jpg")
    assert (change.problem, change.outcome, change.corrected_to) == (None, "dogs", "dog")
    assert pawsort.tree() == {b"sorted/dogs/a/b/x.jpg": b"cat"}
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a/b/x.jpg")
    [move] = pawsort.ledger.moves(id)
    assert (move.kind, move.by, move.old_outcome, move.done_at) == ("correct", "ann", "cats", pawsort.time)


def test_correct_never_overwrites(pawsort: Installation) -> None:
    pawsort.file(b"x.jpg", b"old", "dogs")
    id = pawsort.file(b"x.jpg", b"new")
    pawsort.correct(b"cats/x.jpg")
    assert pawsort.tree() == {b"sorted/dogs/x.jpg": b"old", b"sorted/dogs/x (2).jpg": b"new"}
    assert pawsort.state(id)[3] == b"sorted/dogs/x (2).jpg"


def test_correct_chooses_again_when_the_place_is_taken_meanwhile(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, move = pawsort.file(b"x.jpg"), moves.move

    def raced(source: bytes, destination: bytes) -> None:
        if destination.endswith(b"/x.jpg"):
            Path(os.fsdecode(destination)).write_bytes(b"other")
        move(source, destination)

    monkeypatch.setattr(moves, "move", raced)
    [change] = pawsort.correct(b"cats/x.jpg")
    assert not change.problem
    assert pawsort.tree() == {b"sorted/dogs/x.jpg": b"other", b"sorted/dogs/x (2).jpg": b"cat"}
    assert len(pawsort.ledger.moves(id)) == 1


def test_neither_goes_to_uncertain(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.correct(b"cats/x.jpg", label="neither")
    assert pawsort.state(id) == ("filed", "uncertain", "neither", b"sorted/uncertain/x.jpg")


def test_a_file_in_the_right_folder_is_only_confirmed(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    [change] = pawsort.correct(b"cats/x.jpg", label="cat")
    assert not change.problem
    assert pawsort.state(id) == ("filed", "cats", "cat", b"sorted/cats/x.jpg")
    pawsort.undo(last=1)
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/x.jpg")
    assert pawsort.tree() == {b"sorted/cats/x.jpg": b"cat"}


def test_a_file_that_is_not_what_was_filed_is_refused(pawsort: Installation) -> None:
    ids = [
        pawsort.file(b"same size.jpg"),
        pawsort.file(b"longer.jpg"),
        pawsort.file(b"gone.jpg"),
        pawsort.file(b"fine.jpg"),
    ]
    (pawsort.settings.sorted / "cats/same size.jpg").write_bytes(b"dog")
    (pawsort.settings.sorted / "cats/longer.jpg").write_bytes(b"cats")
    (pawsort.settings.sorted / "cats/gone.jpg").unlink()
    changes = pawsort.correct(b"cats/same size.jpg", b"cats/longer.jpg", b"cats/gone.jpg", b"cats/fine.jpg")
    problems = [change.problem for change in changes]
    assert [problem and problem.split(";")[0] for problem in problems] == [
        *["its content has changed since it was filed"] * 2, "is missing", None,
    ]  # fmt: skip
    assert pawsort.ledger.moves(ids[0]) == []
    assert b"sorted/dogs/fine.jpg" in pawsort.tree()


def test_files_without_a_hash_are_known_by_their_size(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="failed", hashed=False)
    pawsort.correct(b"failed/x.jpg")
    assert pawsort.state(id)[1] == "dogs"


def test_a_file_that_is_not_filed_is_refused(pawsort: Installation) -> None:
    [unknown] = pawsort.correct(b"cats/none.jpg")
    assert unknown.problem
    assert "not a filed photo" in unknown.problem
    with pytest.raises(SettingsError, match="expected one of cat, dog, neither"):
        pawsort.correct(b"cats/x.jpg", label="bird")


def test_a_folder_that_people_made_is_a_label_while_it_has_photos(pawsort: Installation) -> None:
    pawsort.file(b"first.jpg", b"bird", "birds")
    id = pawsort.file(b"x.jpg")
    assert [change.problem for change in pawsort.correct(b"cats/x.jpg", label="birds")] == [None]
    assert pawsort.state(id)[1:3] == ("birds", "birds")
    for outcome in ("cats", "uncertain", "failed"):
        pawsort.file(b"other.jpg", outcome.encode(), outcome)
    for odd in ("cats", "uncertain", "waiting", "failed", "Birds"):
        with pytest.raises(SettingsError, match="expected one of cat, dog, birds, neither"):
            pawsort.correct(b"birds/x.jpg", label=odd)


def test_a_file_is_found_by_relative_path_link_and_unique_name(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = pawsort.file(b"x.jpg")
    monkeypatch.chdir(pawsort.settings.sorted / "cats")
    os.symlink(pawsort.raw_sorted, os.path.join(pawsort.raw_inbox, b"link"))

    def correct(file: bytes, label: str) -> str | None:
        [change] = correct_undo_retry.correct(
            pawsort.engine, pawsort.settings, [file], label, "ann", FOLDERS, pawsort.now
        )
        return change.problem

    assert correct(b"x.jpg", "dog") is None
    assert correct(os.path.join(pawsort.raw_inbox, b"link/dogs/x.jpg"), "cat") is None
    assert correct(b"../cats/x.jpg", "dog") is None
    assert correct(b"x.jpg", "cat") is None  # by name: it lies in dogs/ now
    assert pawsort.state(id)[1] == "cats"
    pawsort.file(b"a/x.jpg", b"other")
    monkeypatch.chdir("/")
    problem = correct(b"x.jpg", "dog")
    assert problem
    assert "2 photos have this name" in problem
    assert "cats/a/x.jpg" in problem


def test_trouble_with_a_folder_leaves_everything_as_it_was(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    os.symlink(b"/tmp", os.path.join(pawsort.raw_sorted, b"dogs"))
    [change] = pawsort.correct(b"cats/x.jpg")
    assert change.problem
    assert "nothing was moved" in change.problem
    assert pawsort.ledger.pending_moves() == []
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/x.jpg")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOENT, errno.ENAMETOOLONG], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    ("source", "filed"),
    [(b"a:b.jpg", b"a_b.jpg"), (b"c:d/a:b.jpg", b"c_d/a_b.jpg"), (b"e/c:d/x.jpg", b"e/c_d/x.jpg")],
)
def test_a_name_that_the_disk_refuses_becomes_plain_as_when_it_was_filed(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch, source: bytes, filed: bytes, code: int
) -> None:
    Disk(monkeypatch, lambda below: code if b":" in below else 0)
    id = pawsort.file(filed)
    with writing(pawsort.engine) as connection:
        connection.execute(update(files).where(files.c.id == id).values(source=source))
    [change] = pawsort.correct(b"cats/" + filed)
    assert change.problem is None
    assert pawsort.tree() == {b"sorted/dogs/" + filed: b"cat"}
    assert len(pawsort.ledger.moves(id)) == 1
    assert [change.problem for change in pawsort.undo(last=2)] == [None, None]
    assert pawsort.tree() == {b"inbox/" + source: b"cat"}


def test_a_photo_that_is_refused_under_every_name_stays(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = pawsort.file(b"odd:.jpg")
    Disk(monkeypatch, lambda below: errno.EINVAL if b"odd" in below else 0)
    [change] = pawsort.correct(b"cats/odd:.jpg")
    assert change.problem
    assert "nothing was moved" in change.problem
    assert pawsort.ledger.pending_moves() == []
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/odd:.jpg")


def test_one_command_at_a_time(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correct_undo_retry, "LOCK_SECONDS", 0.0)
    with correct_undo_retry.moves_lock(pawsort.settings), pytest.raises(LockError):
        pawsort.undo(last=1)


def test_a_photo_that_a_backfill_noted_is_refused(pawsort: Installation) -> None:
    note_some(pawsort.engine, noted())
    for file in (b"/archive/n.jpg", correct_undo_retry.Known(1, 0)):
        known = pawsort.engine, pawsort.settings
        changes = [
            *correct_undo_retry.correct(*known, [file], "dog", "ann", FOLDERS),
            *correct_undo_retry.undo(*known, "ann", [file]),
            *correct_undo_retry.retry(*known, "ann", [file]),
        ]
        assert {change.problem for change in changes} == {NOTED_ONLY}
    assert pawsort.rows("state, outcome") == [("noted", "cats")]
