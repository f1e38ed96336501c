from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from db.ledger.ledger import Ledger
from pipeline.corrections import correct_undo_retry
from pipeline.corrections.correct_undo_retry import Known
from pipeline.errors import LockError, SettingsError
from pipeline.files import moves
from tests.support.crash import Mortal
from tests.support.installation import FOLDERS, START, Installation

# --- correct ---


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


def test_what_is_not_filed_is_refused(pawsort: Installation) -> None:
    [unknown] = pawsort.correct(b"cats/none.jpg")
    assert unknown.problem
    assert "not a filed photo" in unknown.problem
    with pytest.raises(SettingsError, match="expected one of cat, dog, neither"):
        pawsort.correct(b"cats/x.jpg", label="bird")


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


def test_one_command_at_a_time(pawsort: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correct_undo_retry, "LOCK_SECONDS", 0.0)
    with correct_undo_retry.moves_lock(pawsort.settings), pytest.raises(LockError):
        pawsort.undo(last=1)


# --- undo ---


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


# --- killed, and refused ---

STEPS: dict[str, Callable[[Installation], object]] = {
    "correct": lambda pawsort: pawsort.correct(b"cats/a/x.jpg"),
    "confirm": lambda pawsort: pawsort.correct(b"cats/a/x.jpg", label="cat"),
    "undo": lambda pawsort: pawsort.undo(last=1),
}
ENDS = {
    "correct": ("filed", "dogs", "dog", b"sorted/dogs/a/x.jpg"),
    "confirm": ("filed", "cats", "cat", b"sorted/cats/a/x.jpg"),
    "undo": ("undone", None, None, b"inbox/a/x.jpg"),
}


# What is only confirmed is not moved.
WAYS = [("correct", False), ("undo", False), ("confirm", False), ("correct", True), ("undo", True)]


def only_within_a_folder(rename: Callable[[bytes, bytes], None]) -> Callable[[bytes, bytes], None]:
    """Return a rename that refuses to leave a folder, as if each were a file system of its own."""

    def across(source: bytes, destination: bytes) -> None:
        if os.path.dirname(source) != os.path.dirname(destination):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        rename(source, destination)

    return across


@pytest.mark.parametrize(("step", "across"), WAYS)
def test_killed_anywhere_a_move_is_finished_or_never_began(
    tmp_path: Path, step: str, across: bool, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Counter[str]()
    if across:
        monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    for n in range(60):
        pawsort = Installation(tmp_path / str(n))
        id = pawsort.file(b"a/x.jpg")
        before = pawsort.state(id)
        books = [(Ledger, name) for name in ("begin_move", "finish_move", "abandon_move")]
        died = mortal.dies_at(n, lambda pawsort=pawsort: STEPS[step](pawsort), *books)
        began = bool(pawsort.ledger.moves(id))
        pawsort.recover()
        assert pawsort.ledger.pending_moves() == []
        assert pawsort.state(id) == (ENDS[step] if began else before)
        assert pawsort.tree() == {pawsort.state(id)[3]: b"cat"}
        ends["began" if began else "not"] += 1
        pawsort.close()
        if not died:
            break
    assert not died
    assert ends["began"] >= 4
    assert ends["not"] >= 1


@pytest.mark.parametrize(("step", "across"), WAYS)
@pytest.mark.parametrize("ever", [False, True], ids=["once", "until it is cleared"])
def test_whatever_fails_no_file_is_there_twice(
    tmp_path: Path, step: str, ever: bool, across: bool, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    if across:
        monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    for n in range(80):
        pawsort = Installation(tmp_path / str(n))
        id = pawsort.file(b"a/x.jpg")
        failed = mortal.fails_at(n, lambda pawsort=pawsort: STEPS[step](pawsort), ever=ever)
        pawsort.recover()
        assert pawsort.ledger.pending_moves() == [], n
        assert pawsort.tree() == {pawsort.state(id)[3]: b"cat"}, n
        pawsort.close()
        if not failed:
            break
    assert not failed


def test_a_cut_off_move_whose_place_was_taken_is_given_up(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.ledger.begin_move(
        id, "correct", pawsort.raw_sorted + b"/dogs/x.jpg", "dogs", "dog", "ann", pawsort.now()
    )
    other = pawsort.file(b"x.jpg", b"cat", "dogs")  # the same content, and a row of its own
    [change] = pawsort.recover()
    assert change.problem
    assert "was taken" in change.problem
    assert [pawsort.state(i)[3] for i in (id, other)] == [b"sorted/cats/x.jpg", b"sorted/dogs/x.jpg"]
    assert len(pawsort.tree()) == 2


def test_a_cut_off_move_waits_for_a_missing_disk_and_not_for_a_deleted_file(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.ledger.begin_move(
        id, "correct", pawsort.raw_sorted + b"/dogs/x.jpg", "dogs", "dog", "ann", pawsort.now()
    )
    os.rename(pawsort.raw_sorted, pawsort.raw_sorted + b".away")
    os.mkdir(pawsort.raw_sorted)
    assert pawsort.recover()[0].problem
    assert len(pawsort.ledger.pending_moves()) == 1
    shutil.rmtree(pawsort.raw_sorted)
    os.rename(pawsort.raw_sorted + b".away", pawsort.raw_sorted)
    (pawsort.settings.sorted / "dogs").mkdir()
    (pawsort.settings.sorted / "cats/x.jpg").unlink()
    assert pawsort.recover()[0].problem
    assert pawsort.ledger.pending_moves() == []


def test_the_next_command_finishes_what_was_cut_off(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.ledger.begin_move(
        id, "correct", pawsort.raw_sorted + b"/dogs/x.jpg", "dogs", "dog", "ann", pawsort.now()
    )
    pawsort.undo(last=1)
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/x.jpg")


# --- whatever is done ---

_actions = st.lists(
    st.one_of(
        st.tuples(st.just("file"), st.sampled_from([b"x", b"a/x", b"\xff"])),
        st.tuples(st.sampled_from(["cat", "dog", "neither"]), st.integers(0, 5)),
        st.tuples(st.just("undo"), st.integers(1, 3)),
    ),
    max_size=14,
)


@given(actions=_actions)
@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_lost_and_rows_and_files_agree(actions: list[tuple[str, bytes | int]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        pawsort = Installation(Path(base))
        ids: dict[int, bytes] = {}
        for what, detail in actions:
            if isinstance(detail, bytes):
                content = b"%d" % len(ids)
                if not os.path.lexists(os.path.join(pawsort.raw_inbox, detail)):
                    ids[pawsort.file(detail, content)] = content
            elif what == "undo":
                pawsort.undo(last=detail)
            elif ids:
                [entry] = pawsort.ledger.entries([list(ids)[detail % len(ids)]])
                pawsort.correct(os.path.relpath(entry.path or b"", pawsort.raw_sorted), label=what)
        assert {pawsort.state(id)[3]: content for id, content in ids.items()} == pawsort.tree()
        assert not any(change.problem for change in pawsort.undo(since=START))
        assert Counter(pawsort.tree().values()) == Counter(ids.values())
        assert {pawsort.state(id)[0] for id in ids} <= {"undone"}
        pawsort.close()


# --- by row, as a client saw it ---


def by_row(pawsort: Installation, *files: Known, label: str = "dog", by: str = "ann") -> list[str | None]:
    changes = correct_undo_retry.correct(
        pawsort.engine, pawsort.settings, files, label, by, FOLDERS, pawsort.now
    )
    return [change.problem for change in changes]


def test_a_row_is_corrected_as_it_was_seen(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="uncertain")
    assert by_row(pawsort, Known(id, 0)) == [None]
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/x.jpg")


def test_the_second_of_two_corrections_changes_nothing_and_names_the_first_person(
    pawsort: Installation,
) -> None:
    id = pawsort.file(b"x.jpg", outcome="uncertain")
    by_row(pawsort, Known(id, 0), label="neither")
    assert by_row(pawsort, Known(id, 0), label="cat", by="ben") == [
        "was changed meanwhile by ann, to neither"
    ]
    assert pawsort.state(id)[1:3] == ("uncertain", "neither")
    assert len(pawsort.ledger.moves(id)) == 1


def test_what_was_taken_back_meanwhile_is_not_taken_back_again(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="uncertain")
    by_row(pawsort, Known(id, 0))
    [move] = pawsort.ledger.moves(id)

    def undo() -> str | None:
        seen = [Known(id, move.id)]
        [change] = correct_undo_retry.undo(pawsort.engine, pawsort.settings, "ben", seen, now=pawsort.now)
        return change.problem

    assert undo() is None
    assert undo() == "was changed meanwhile by ben"
    assert pawsort.state(id) == ("filed", "uncertain", None, b"sorted/uncertain/x.jpg")


def test_a_row_that_is_not_there_or_on_its_way_is_refused(pawsort: Installation) -> None:
    pawsort.claim(b"x.jpg")
    assert by_row(pawsort, Known(1, 0), Known(99, 0)) == ["is no longer in a folder"] * 2


def test_a_clock_set_back_does_not_turn_the_undo_of_a_correction_into_one_of_the_filing(
    pawsort: Installation,
) -> None:
    id = pawsort.file(b"x.jpg")
    pawsort.time -= timedelta(hours=1)
    pawsort.correct(b"cats/x.jpg")
    [change] = pawsort.undo(files=(b"dogs/x.jpg",))
    assert change.problem is None
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/x.jpg")


# --- retry ---


def retry(pawsort: Installation, *files: bytes | Known) -> list[str | None]:
    changes = correct_undo_retry.retry(pawsort.engine, pawsort.settings, "ann", files, pawsort.now)
    return [change.problem for change in changes]


def test_a_failure_is_sent_in_again_as_a_new_arrival(pawsort: Installation) -> None:
    id = pawsort.file(b"a/x.jpg", outcome="failed")
    assert retry(pawsort, Known(id, 0)) == [None]
    assert pawsort.tree() == {b"inbox/a/x.jpg": b"cat"}
    assert pawsort.state(id) == ("vanished", None, None, None)
    path = os.path.join(pawsort.raw_inbox, b"a/x.jpg")
    assert pawsort.ledger.put_back({path: moves.identity(path)}) == set()


def test_only_what_failed_is_tried_again(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg")
    assert retry(pawsort, b"x.jpg") == ["is in cats; only failed files can be retried"]
    assert pawsort.state(id)[0] == "filed"


def test_a_failure_that_cannot_be_moved_stays_what_it_was(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="failed")
    (pawsort.settings.sorted / "failed/x.jpg").write_bytes(b"other")
    assert retry(pawsort, Known(id, 0)) == ["its content has changed since it was filed; nothing was moved"]
    assert pawsort.state(id)[:2] == ("filed", "failed")


def test_what_an_undo_has_put_back_can_be_let_go_too(pawsort: Installation) -> None:
    # So a retry that was cut off after the undo can be made again.
    id = pawsort.file(b"x.jpg")
    pawsort.undo(last=1)
    [move] = pawsort.ledger.moves(id)
    assert retry(pawsort, Known(id, move.id)) == [None]
    assert pawsort.state(id)[0] == "vanished"
    assert pawsort.tree() == {b"inbox/x.jpg": b"cat"}


def test_two_retries_of_one_failure_are_one(pawsort: Installation) -> None:
    id = pawsort.file(b"x.jpg", outcome="failed")
    assert retry(pawsort, Known(id, 0)) == [None]
    assert retry(pawsort, Known(id, 0)) == ["was changed meanwhile by ann"]
