"""Folders that were moved or renamed: rows name absolute paths, and the files are found all the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.doctor import check, repair
from pipeline.doctor.problem import Problem
from tests.support.house import House
from tests.support.oracle import files_below, read
from tests.support.world import World

OUTCOMES = ("cats", "dogs", "uncertain", "failed", "duplicates")
Move = Callable[[str, str], House]


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    """A whole installation, filed and corrected, at one place and then at another."""
    houses: list[House] = []

    def move(old: str, new: str) -> House:
        first = House(tmp_path / old)
        first.settings.reports.mkdir()
        first.file(b"a.jpg", b"1")
        first.file(b"trip/b\xff.jpg", b"22")
        first.file(b"c.jpg", b"333", outcome="dogs")
        first.correct(b"cats/a.jpg")
        first.engine.dispose()
        (tmp_path / new).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / old).rename(tmp_path / new)
        houses.append(House(tmp_path / new))
        return houses[-1]

    yield move
    for house in houses:
        house.engine.dispose()


def found(house: House) -> list[Problem]:
    return list(check.examine(house.engine, house.settings, hashes=True))


def repaired(house: House) -> list[repair.Repair]:
    return list(repair.repair(house.engine, house.settings, OUTCOMES, True, house.now))


def paths(house: House) -> set[bytes]:
    return {os.path.relpath(e.path or b"", house.sorted) for e in house.ledger.entries(range(99))}


@pytest.mark.parametrize("new", ["new", "cats/deeper/cats", "o"])
def test_doctor_says_where_the_files_of_a_moved_installation_lie(
    move: Move, new: str, tmp_path: Path
) -> None:
    house = move("old", new)
    problems = found(house)
    assert {(p.kind, p.path) for p in problems} == {
        ("moved", os.fsencode(tmp_path / "old/sorted/cats")),
        ("moved", os.fsencode(tmp_path / "old/sorted/dogs")),
    }
    shown = "\n".join(map(str, problems))
    assert str(tmp_path / new / "sorted/cats") in shown
    assert "2 files that rows name there are in" in shown and "1 files that rows name there are in" in shown
    assert problems[0].as_dict()["now"].startswith(str(tmp_path / new))


def test_repair_makes_the_rows_follow_and_nothing_else(move: Move) -> None:
    house = move("old", "new")
    before = house.tree()
    moves = [house.ledger.moves(id) for id in range(9)]
    assert all(each.done for each in repaired(house))
    assert found(house) == []
    assert repaired(house) == []
    assert house.tree() == before
    assert paths(house) == {b"dogs/a.jpg", b"cats/trip/b\xff.jpg", b"dogs/c.jpg"}
    assert [house.ledger.moves(id) for id in range(9)] == moves, "no correction was made"


def test_what_was_filed_before_a_move_is_undone_into_the_inbox_of_now(move: Move) -> None:
    house = move("old", "new")
    repaired(house)
    assert all(change.problem is None for change in house.undo(last=4))
    assert sorted(os.path.relpath(path, house.inbox) for path in files_below(*house.settings.inboxes)) == [
        b"a.jpg", b"c.jpg", b"trip/b\xff.jpg",
    ]  # fmt: skip
    assert found(house) == []


@pytest.mark.parametrize("by_path", [True, False])
def test_before_the_repair_undo_and_correct_say_what_to_do(move: Move, by_path: bool) -> None:
    house = move("old", "new")
    before = house.tree()
    changes = house.undo(files=(b"dogs/c.jpg",)) if by_path else house.undo(last=3)
    changes += house.correct(b"dogs/c.jpg", b"cats/trip/b\xff.jpg")
    for change in changes:
        assert "doctor --repair" in str(change.problem), change
    assert house.tree() == before


def test_sorted_may_be_renamed_in_the_settings(house: House) -> None:
    house.file(b"a.jpg")
    house.settings.sorted.rename(house.settings.base / "sorted2")
    house.settings = Settings(base=house.settings.base, sorted=Path("sorted2"))
    house.settings.reports.mkdir()
    assert [problem.kind for problem in found(house)] == ["moved"]
    repaired(house)
    assert (found(house), paths(house)) == ([], {b"cats/a.jpg"})


@pytest.mark.parametrize("made_again", [True, False])
def test_a_folder_of_a_label_may_be_renamed_by_hand(house: House, made_again: bool) -> None:
    house.settings.reports.mkdir()
    house.file(b"a.jpg")
    house.file(b"trip/b.jpg", b"2")
    cats = house.settings.sorted / "cats"
    cats.rename(house.settings.sorted / "katzen")
    if made_again:
        cats.mkdir()
    [problem] = found(house)
    assert (problem.kind, problem.path) == ("moved", os.fsencode(cats))
    assert "2 files that rows name there are in" in str(problem) and "sorted/katzen now" in str(problem)
    [each] = repaired(house)
    assert each.done and "sorted/katzen" in each.told
    assert (found(house), paths(house)) == ([], {b"katzen/a.jpg", b"katzen/trip/b.jpg"})
    [change] = house.correct(b"katzen/a.jpg")
    assert change.path == house.sorted + b"/dogs/a.jpg"
    [change] = house.undo(files=(b"katzen/trip/b.jpg",))
    assert change.path == house.inbox + b"/trip/b.jpg"


def test_another_file_of_the_same_name_is_not_taken_for_it(move: Move) -> None:
    house = move("old", "new")
    (house.settings.sorted / "dogs/c.jpg").write_bytes(b"another")
    assert sorted(p.kind for p in found(house)) == ["missing", "moved", "moved", "unrecorded"]
    assert [e.problem.kind for e in repaired(house) if not e.done] == ["missing"]


def test_a_file_that_has_a_row_is_not_taken_for_a_lost_one(move: Move) -> None:
    house = move("old", "new")
    repaired(house)
    shutil.copytree(house.settings.sorted, house.settings.base / "old" / "sorted")
    [id] = [house.file(b"d.jpg", b"4")]
    lost = os.fsencode(house.settings.base / "old/sorted/cats/d.jpg")
    twin = house.file(b"e.jpg", b"4")
    house.ledger.relocate({twin: lost}, house.now())
    os.unlink(house.sorted + b"/cats/e.jpg")
    assert [(p.kind, p.id) for p in found(house)] == [("superseded", twin)]
    assert house.ledger.entries([id])[0].path == house.sorted + b"/cats/d.jpg"


def test_two_rows_that_end_alike_do_not_get_one_file(house: House) -> None:
    house.settings.reports.mkdir()
    ids = [house.file(b"a.jpg", b"1"), house.file(b"b.jpg", b"1"), house.file(b"c.jpg", b"1")]
    for id, place in zip(ids, (b"/one", b"/two", b"/one"), strict=True):
        house.ledger.relocate({id: place + b"/sorted/cats/a.jpg"}, house.now())
    for name in (b"b.jpg", b"c.jpg"):
        os.unlink(house.sorted + b"/cats/" + name)
    repaired(house)
    there = house.sorted + b"/cats/a.jpg"
    assert [entry.path == there for entry in house.ledger.entries(ids)].count(True) == 1


def test_what_was_decided_before_a_move_is_filed_under_the_folder_of_now(tmp_path: Path) -> None:
    first = House(tmp_path / "old")
    first.claim(b"a.jpg", decided=True)
    first.engine.dispose()
    (tmp_path / "old").rename(tmp_path / "new")
    world = World(tmp_path / "new")
    world.live()
    assert world.sorted() == {"cats/a.jpg"}
    assert [read(path) for path in files_below(world.settings.sorted)] == [b"cat"]
    assert not (tmp_path / "old").exists()
    world.close()
