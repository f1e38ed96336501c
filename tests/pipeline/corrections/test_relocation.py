"""Folders that were moved or renamed: rows name absolute paths, and the files are found all the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.doctor import check, repair
from pipeline.doctor.problem import Problem
from pipeline.settings.config import Settings
from tests.support.installation import SMALL, Installation
from tests.support.oracle import files_below, read

OUTCOMES = ("cats", "dogs", "uncertain", "failed", "duplicates")
Move = Callable[[str, str], Installation]


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    """A whole installation, filed and corrected, at one place and then at another."""
    made: list[Installation] = []

    def move(old: str, new: str) -> Installation:
        first = Installation(tmp_path / old)
        first.file(b"a.jpg", b"1")
        first.file(b"trip/b\xff.jpg", b"22")
        first.file(b"c.jpg", b"333", outcome="dogs")
        first.correct(b"cats/a.jpg")
        first.close()
        (tmp_path / new).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / old).rename(tmp_path / new)
        made.append(Installation(tmp_path / new))
        return made[-1]

    yield move
    for pawsort in made:
        pawsort.close()


def found(pawsort: Installation) -> list[Problem]:
    return list(check.examine(pawsort.engine, pawsort.settings, hashes=True))


def repaired(pawsort: Installation) -> list[repair.Repair]:
    return list(repair.repair(pawsort.engine, pawsort.settings, OUTCOMES, True, pawsort.now))


def paths(pawsort: Installation) -> set[bytes]:
    return {os.path.relpath(e.path or b"", pawsort.raw_sorted) for e in pawsort.ledger.entries(range(99))}


@pytest.mark.parametrize("new", ["new", "cats/deeper/cats", "o"])
def test_doctor_says_where_the_files_of_a_moved_installation_lie(
    move: Move, new: str, tmp_path: Path
) -> None:
    pawsort = move("old", new)
    problems = found(pawsort)
    assert {(p.kind, p.path) for p in problems} == {
        ("moved", os.fsencode(tmp_path / "old/sorted/cats")),
        ("moved", os.fsencode(tmp_path / "old/sorted/dogs")),
    }
    shown = "\n".join(map(str, problems))
    assert str(tmp_path / new / "sorted/cats") in shown
    assert "2 files that rows name there are in" in shown and "1 files that rows name there are in" in shown
    assert problems[0].as_dict()["now"].startswith(str(tmp_path / new))


def test_repair_makes_the_rows_follow_and_nothing_else(move: Move) -> None:
    pawsort = move("old", "new")
    before = pawsort.tree()
    moves = [pawsort.ledger.moves(id) for id in range(9)]
    assert all(each.done for each in repaired(pawsort))
    assert found(pawsort) == []
    assert repaired(pawsort) == []
    assert pawsort.tree() == before
    assert paths(pawsort) == {b"dogs/a.jpg", b"cats/trip/b\xff.jpg", b"dogs/c.jpg"}
    assert [pawsort.ledger.moves(id) for id in range(9)] == moves, "no correction was made"


def test_what_was_filed_before_a_move_is_undone_into_the_inbox_of_now(move: Move) -> None:
    pawsort = move("old", "new")
    repaired(pawsort)
    assert all(change.problem is None for change in pawsort.undo(last=4))
    there = files_below(pawsort.inbox)
    names = [b"a.jpg", b"c.jpg", b"trip/b\xff.jpg"]
    assert sorted(os.path.relpath(path, pawsort.raw_inbox) for path in there) == names
    assert found(pawsort) == []


@pytest.mark.parametrize("by_path", [True, False])
def test_before_the_repair_undo_and_correct_say_what_to_do(move: Move, by_path: bool) -> None:
    pawsort = move("old", "new")
    before = pawsort.tree()
    changes = pawsort.undo(files=(b"dogs/c.jpg",)) if by_path else pawsort.undo(last=3)
    changes += pawsort.correct(b"dogs/c.jpg", b"cats/trip/b\xff.jpg")
    for change in changes:
        assert "doctor --repair" in str(change.problem), change
    assert pawsort.tree() == before


@pytest.fixture(params=["copies", "hard links"])
def copied(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """A copy of an installation that stays where it is."""
    first = Installation(tmp_path / "old")
    first.file(b"a.jpg", b"1")
    first.file(b"trip/b\xff.jpg", b"22")
    first.correct(b"cats/a.jpg")
    first.close()
    link = os.link if request.param == "hard links" else shutil.copy2
    shutil.copytree(tmp_path / "old", tmp_path / "new", copy_function=link)
    for path in (tmp_path / "old/state").glob("pawsort.db*"):
        (tmp_path / "new/state" / path.name).unlink()
        shutil.copy2(path, tmp_path / "new/state")
    pawsort = Installation(tmp_path / "new")
    yield pawsort
    pawsort.close()


def test_a_copied_installation_moves_no_photo_of_the_first(copied: Installation, tmp_path: Path) -> None:
    folders = [tmp_path / each for each in ("old/inbox", "old/sorted", "new/inbox", "new/sorted")]
    before = sorted(files_below(*folders))
    changes = (
        copied.undo(last=2) + copied.undo(files=(b"dogs/a.jpg",)) + copied.correct(b"cats/trip/b\xff.jpg")
    )
    for change in changes:
        assert "copied installation" in str(change.problem) and "--repair" in str(change.problem), change
    assert sorted(files_below(*folders)) == before


def test_repair_makes_a_copied_installation_independent(copied: Installation, tmp_path: Path) -> None:
    old = files_below(tmp_path / "old")
    problems = found(copied)
    assert {(p.kind, p.path) for p in problems} == {
        ("moved", os.fsencode(tmp_path / f"old/sorted/{folder}")) for folder in ("cats", "dogs")
    }
    assert all("was copied: 1 files" in p.message for p in problems)
    assert all(each.done for each in repaired(copied))
    assert found(copied) == []
    assert all(change.problem is None for change in copied.undo(last=3))
    assert len(list(files_below(copied.inbox))) == 2
    assert files_below(tmp_path / "old") == old


def test_photos_of_an_earlier_sorted_are_undone_from_there(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    (pawsort.settings.base / "sorted2/cats").mkdir(parents=True)
    pawsort.settings = Settings(base=pawsort.settings.base, sorted=Path("sorted2"))
    assert found(pawsort) == []
    assert [change.problem for change in pawsort.undo(last=1)] == [None]


def test_a_link_to_sorted_is_no_copy(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    (pawsort.settings.base / "link").symlink_to(pawsort.settings.sorted)
    pawsort.settings = Settings(base=pawsort.settings.base, sorted=Path("link"))
    assert [change.problem for change in pawsort.undo(last=1)] == [None]


def test_sorted_may_be_renamed_in_the_settings(pawsort: Installation) -> None:
    pawsort.file(b"a.jpg")
    pawsort.settings.sorted.rename(pawsort.settings.base / "sorted2")
    pawsort.settings = Settings(base=pawsort.settings.base, sorted=Path("sorted2"))
    assert [problem.kind for problem in found(pawsort)] == ["moved"]
    repaired(pawsort)
    assert (found(pawsort), paths(pawsort)) == ([], {b"cats/a.jpg"})


@pytest.mark.parametrize("made_again", [True, False])
def test_a_folder_of_a_label_may_be_renamed_by_hand(pawsort: Installation, made_again: bool) -> None:
    pawsort.file(b"a.jpg")
    pawsort.file(b"trip/b.jpg", b"2")
    cats = pawsort.settings.sorted / "cats"
    cats.rename(pawsort.settings.sorted / "katzen")
    if made_again:
        cats.mkdir()
    [problem] = found(pawsort)
    assert (problem.kind, problem.path) == ("moved", os.fsencode(cats))
    assert "2 files that rows name there are in" in str(problem) and "sorted/katzen now" in str(problem)
    [each] = repaired(pawsort)
    assert each.done and "sorted/katzen" in each.told
    assert (found(pawsort), paths(pawsort)) == ([], {b"katzen/a.jpg", b"katzen/trip/b.jpg"})
    [change] = pawsort.correct(b"katzen/a.jpg")
    assert change.path == pawsort.raw_sorted + b"/dogs/a.jpg"
    [change] = pawsort.undo(files=(b"katzen/trip/b.jpg",))
    assert change.path == pawsort.raw_inbox + b"/trip/b.jpg"


def test_another_file_of_the_same_name_is_not_taken_for_it(move: Move) -> None:
    pawsort = move("old", "new")
    (pawsort.settings.sorted / "dogs/c.jpg").write_bytes(b"another")
    assert sorted(p.kind for p in found(pawsort)) == ["missing", "moved", "moved", "unrecorded"]
    assert [e.problem.kind for e in repaired(pawsort) if not e.done] == ["missing"]


def test_a_file_that_has_a_row_is_not_taken_for_a_lost_one(move: Move) -> None:
    pawsort = move("old", "new")
    repaired(pawsort)
    shutil.copytree(pawsort.settings.sorted, pawsort.settings.base / "old" / "sorted")
    [id] = [pawsort.file(b"d.jpg", b"4")]
    lost = os.fsencode(pawsort.settings.base / "old/sorted/cats/d.jpg")
    twin = pawsort.file(b"e.jpg", b"4")
    pawsort.ledger.relocate({twin: lost}, pawsort.now())
    os.unlink(pawsort.raw_sorted + b"/cats/e.jpg")
    assert [(p.kind, p.id) for p in found(pawsort)] == [("superseded", twin)]
    assert pawsort.ledger.entries([id])[0].path == pawsort.raw_sorted + b"/cats/d.jpg"


def test_two_rows_that_end_alike_do_not_get_one_file(pawsort: Installation) -> None:
    ids = [pawsort.file(b"a.jpg", b"1"), pawsort.file(b"b.jpg", b"1"), pawsort.file(b"c.jpg", b"1")]
    for id, place in zip(ids, (b"/one", b"/two", b"/one"), strict=True):
        pawsort.ledger.relocate({id: place + b"/sorted/cats/a.jpg"}, pawsort.now())
    for name in (b"b.jpg", b"c.jpg"):
        os.unlink(pawsort.raw_sorted + b"/cats/" + name)
    repaired(pawsort)
    there = pawsort.raw_sorted + b"/cats/a.jpg"
    assert [entry.path == there for entry in pawsort.ledger.entries(ids)].count(True) == 1


def test_what_was_decided_before_a_move_is_filed_under_the_folder_of_now(tmp_path: Path) -> None:
    first = Installation(tmp_path / "old")
    first.claim(b"a.jpg", decided=True)
    first.close()
    (tmp_path / "old").rename(tmp_path / "new")
    pawsort = Installation(tmp_path / "new", SMALL)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a.jpg"}
    assert [read(path) for path in files_below(pawsort.settings.sorted)] == [b"cat"]
    assert not (tmp_path / "old").exists()
    pawsort.close()
