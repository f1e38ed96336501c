"""A correction or an undo that is killed, or whose system calls fail, is finished or never began."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from db.ledger.ledger import Ledger
from pipeline.files import moves
from tests.support.crash import Mortal
from tests.support.installation import START, Installation

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
