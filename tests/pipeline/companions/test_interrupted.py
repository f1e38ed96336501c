"""A photo and its companions stay together when a worker or a command is killed, or a call fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from db.ledger.ledger import Ledger
from pipeline.files import moves
from tests.pipeline.corrections.test_interrupted_moves import only_within_a_folder
from tests.pipeline.worker import test_killed
from tests.support.crash import Death, Mortal
from tests.support.installation import QUICK, Installation, run_until_idle
from tests.support.oracle import conserved

COMPANIONS = {b"x.jpg.xmp": b"1", b"x.NEF": b"2"}
STEPS: dict[str, Callable[[Installation], object]] = {
    "correct": lambda pawsort: pawsort.correct(b"cats/a/x.jpg"),
    "undo": lambda pawsort: pawsort.undo(last=1),
}


def filed_group(folder: Path) -> Installation:
    """An installation with a photo and its companions in `cats`."""
    pawsort = Installation(folder)
    id = pawsort.file(b"a/x.jpg")
    pawsort.ledger.set_companions(id, list(COMPANIONS))
    for name, data in COMPANIONS.items():
        (pawsort.settings.sorted / "cats/a" / os.fsdecode(name)).write_bytes(data)
    return pawsort


def together(pawsort: Installation) -> bytes:
    """Return the folder in which all files of the group are, and nothing else is anywhere."""
    folder = os.path.dirname(pawsort.state(1)[3] or b"")
    group = {b"x.jpg": b"cat", **COMPANIONS}
    assert pawsort.tree() == {os.path.join(folder, name): data for name, data in group.items()}
    return folder


@pytest.mark.parametrize("across", [False, True], ids=["renamed", "copied"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_a_move_takes_all_or_none(
    tmp_path: Path, step: str, across: bool, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"correct": b"sorted/dogs/a", "undo": b"inbox/a"}
    if across:
        monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    for n in range(150):
        pawsort = filed_group(tmp_path / str(n))
        books = [(Ledger, name) for name in ("begin_move", "finish_move", "abandon_move")]
        died = mortal.dies_at(n, lambda pawsort=pawsort: STEPS[step](pawsort), *books)
        began = bool(pawsort.ledger.moves(1))
        pawsort.recover()
        assert pawsort.ledger.pending_moves() == [], n
        assert together(pawsort) == (ends[step] if began else b"sorted/cats/a"), n
        pawsort.close()
        if not died:
            break
    assert not died
    assert n > 10


@pytest.mark.parametrize("ever", [False, True], ids=["once", "until it is cleared"])
@pytest.mark.parametrize(("step", "across"), [("correct", False), ("undo", True)])
def test_whatever_fails_all_stay_together(
    tmp_path: Path, step: str, ever: bool, across: bool, mortal: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    if across:
        monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    for n in range(150):
        pawsort = filed_group(tmp_path / str(n))
        failed = mortal.fails_at(n, lambda pawsort=pawsort: STEPS[step](pawsort), ever=ever)
        pawsort.recover()
        assert pawsort.ledger.pending_moves() == [], n
        together(pawsort)
        pawsort.close()
        if not failed:
            break
    assert not failed


def test_where_the_name_of_a_companion_is_taken_meanwhile_all_get_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = filed_group(tmp_path)
    move = moves.move

    def meanwhile(source: bytes, destination: bytes) -> None:
        if destination.endswith(b"/dogs/a/x.NEF"):
            Path(os.fsdecode(destination)).write_bytes(b"of another program")
        move(source, destination)

    monkeypatch.setattr(moves, "move", meanwhile)
    [change] = pawsort.correct(b"cats/a/x.jpg")
    assert change.problem is None
    assert pawsort.sorted() == {
        "dogs/a/x.NEF",
        *(f"dogs/a/x (2).{end}" for end in ("jpg", "jpg.xmp", "NEF")),
    }
    assert (pawsort.settings.sorted / "dogs/a/x.NEF").read_bytes() == b"of another program"
    pawsort.undo(last=1)
    (pawsort.settings.sorted / "dogs/a/x.NEF").unlink()
    assert together(pawsort) == b"sorted/cats/a"
    pawsort.close()


def test_a_worker_gives_a_group_another_name_where_one_is_taken_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = Installation(tmp_path, QUICK)
    a_group_arrives(pawsort)
    move = moves.move

    def meanwhile(source: bytes, destination: bytes) -> None:
        if destination.endswith(b"/cats/x.NEF") and not os.path.lexists(destination):
            Path(os.fsdecode(destination)).write_bytes(b"of another program")
        move(source, destination)

    monkeypatch.setattr(moves, "move", meanwhile)
    pawsort.run_worker()
    assert {name for name in pawsort.sorted() if "/x" in name} == {
        "cats/x.NEF",
        *(f"cats/x (2).{end}" for end in ("jpg", "xmp", "NEF")),
    }
    pawsort.close()


def a_group_arrives(pawsort: Installation) -> None:
    for name, data in (("x.jpg", b"1<cat>"), ("x.xmp", b"x"), ("x.NEF", b"raw"), ("y.jpg", b"2<dog>")):
        pawsort.drop(name, data)


@pytest.mark.parametrize(
    ("after", "again", "across"),
    [(False, 0, False), (True, 3, False), (False, 0, True)],
    ids=["before-it", "after-it-and-again-in-recovery", "before-it-copied"],
)
def test_killed_at_every_step_a_worker_separates_nothing(
    tmp_path: Path, after: bool, again: int, across: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if across:
        monkeypatch.setattr(moves, "rename", only_within_a_folder(moves.rename))
    monkeypatch.setattr(test_killed, "STEPS", [*test_killed.STEPS, (Ledger, "set_companions")])
    for point in range(1, 60):
        pawsort = Installation(tmp_path / str(point), QUICK)
        a_group_arrives(pawsort)
        died = killed(pawsort, point, after=after) + killed(pawsort, again, after=after)
        pawsort.run_worker()
        conserved(pawsort.settings, pawsort.injected)
        assert pawsort.sorted() == {"cats/x.jpg", "cats/x.xmp", "cats/x.NEF", "dogs/y.jpg"}, point
        assert pawsort.rows("companions", "companions IS NOT NULL") == [('["x.NEF", "x.xmp"]',)], point
        pawsort.close()
        if not died:
            break
    assert point > 10


@pytest.mark.parametrize("point", range(1, 5))
def test_killed_while_a_companion_follows_later_it_is_moved_by_the_next_worker(
    tmp_path: Path, point: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort = Installation(tmp_path, QUICK)
    pawsort.drop("x.jpg", b"1<cat>")
    pawsort.run_worker()
    pawsort.drop("x.xmp", b"x")
    monkeypatch.setattr(test_killed, "STEPS", [*test_killed.STEPS, (Ledger, "set_companions")])
    killed(pawsort, point, after=point % 2 == 0)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/x.jpg", "cats/x.xmp"}
    conserved(pawsort.settings, pawsort.injected)
    pawsort.close()


def killed(pawsort: Installation, point: int, *, after: bool) -> bool:
    """Let a worker die at a step; return whether it did."""
    with pytest.MonkeyPatch.context() as patch:
        test_killed.kill_at(patch, point, after=after)
        worker = pawsort.worker()
        try:
            run_until_idle(worker)
        except Death:
            return True
        finally:
            for inbox in worker.inboxes:
                inbox.stop()
    return False


def test_a_companion_that_is_refused_for_a_while_is_filed_with_its_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.loop.BACKOFF_SECONDS", (0.0,))
    pawsort = Installation(tmp_path, QUICK)
    a_group_arrives(pawsort)
    left, move = 6, moves.move

    def full(source: bytes, destination: bytes) -> None:
        nonlocal left
        if left and (b"+" in source) != (b"+" in destination):
            left -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), destination)
        move(source, destination)

    monkeypatch.setattr(moves, "move", full)
    pawsort.run_worker()
    assert not left
    assert pawsort.sorted() == {"cats/x.jpg", "cats/x.xmp", "cats/x.NEF", "dogs/y.jpg"}
    conserved(pawsort.settings, pawsort.injected)
    pawsort.close()
