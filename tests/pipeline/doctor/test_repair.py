"""Repairs write down what is so: no file is deleted or overwritten, no class guessed; a kill is no matter."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from db.connection.engine import open_database
from db.ledger.ledger import Ledger
from db.schema.tables import IMPORTED
from pipeline.doctor import repair
from pipeline.doctor.check import examine
from pipeline.doctor.problem import Problem
from pipeline.doctor.repair import Repair
from pipeline.errors import LockError
from pipeline.files import moves
from pipeline.worker.steps.duplicates import look_back
from tests.support.crash import Mortal
from tests.support.installation import Installation
from tests.support.oracle import files_below, read

OUTCOMES = ("cats", "dogs", "uncertain", "failed", "duplicates")


@pytest.fixture
def whole(pawsort: Installation) -> Installation:
    pawsort.settings.reports.mkdir(exist_ok=True)
    pawsort.file(b"a/x.jpg", b"1")
    pawsort.file(b"y.jpg", b"2", outcome="dogs")
    return pawsort


def repaired(pawsort: Installation, hashes: bool = False) -> list[Repair]:
    found = list(repair.repair(pawsort.engine, pawsort.settings, OUTCOMES, hashes, pawsort.now))
    assert all(each.told and each.as_dict()["repair"] == each.told and str(each) for each in found)
    return found


def told(pawsort: Installation) -> dict[str, bool]:
    """What was repaired, by kind and path below the house."""
    base = os.fsencode(pawsort.settings.base)
    return {
        f"{r.problem.kind} {os.path.relpath(r.problem.path, base).decode()}": r.done
        for r in repaired(pawsort)
    }


def left(pawsort: Installation) -> list[str]:
    return [problem.kind for problem in examine(pawsort.engine, pawsort.settings, hashes=True)]


def contents(pawsort: Installation) -> list[bytes]:
    settings = pawsort.settings
    return sorted(map(read, files_below(*settings.inboxes, settings.sorted, settings.spool)))


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_where_all_agrees_nothing_is_mended(whole: Installation) -> None:
    assert repaired(whole, hashes=True) == []


@pytest.mark.fault(88)
def test_after_a_lost_database_files_are_recorded_where_they_lie(whole: Installation) -> None:
    """And nothing is said of them that is not known."""
    put(whole.settings.sorted / "failed/odd.txt", b"3")
    whole.close()
    for left_over in whole.settings.state.glob("pawsort.db*"):
        left_over.unlink()
    whole.engine = open_database(whole.settings.database_url)
    whole.ledger = Ledger(whole.engine, os.fsencode(whole.settings.spool))
    before = contents(whole)

    assert told(whole) == {
        "unrecorded sorted/cats/a/x.jpg": True,
        "unrecorded sorted/dogs/y.jpg": True,
        "unrecorded sorted/failed/odd.txt": True,
    }
    entries = {entry.source: entry for entry in whole.ledger.entries(range(9))}
    assert {source: entry.outcome for source, entry in entries.items()} == {
        b"a/x.jpg": "cats", b"y.jpg": "dogs", b"odd.txt": "failed",
    }  # fmt: skip
    for entry in entries.values():
        assert (entry.state, entry.reason, entry.prediction) == ("filed", IMPORTED, None)
        assert entry.confidence is entry.scores is entry.model is None
        assert entry.sha256 is not None
    assert left(whole) == []
    assert contents(whole) == before
    assert repaired(whole) == [], "a second time there is nothing to do"


def test_what_was_imported_decides_on_no_other(whole: Installation) -> None:
    put(whole.settings.sorted / "cats/new.jpg", b"3")
    repaired(whole)
    [new] = [entry for entry in whole.ledger.entries(range(9)) if entry.reason == IMPORTED]
    assert new.sha256 is not None
    earlier = look_back(whole.ledger.same_content({new.sha256: [new.ino]})[new.sha256], "", whole.raw_sorted)
    assert (earlier.answer, earlier.original) == (None, None)


def test_an_import_can_be_undone_like_a_filing(whole: Installation) -> None:
    put(whole.settings.sorted / "cats/deep/new.jpg", b"3")
    repaired(whole)
    [change] = whole.undo(files=(b"cats/deep/new.jpg",))
    assert change.path == whole.raw_inbox + b"/deep/new.jpg"
    assert left(whole) == []


def test_a_photo_moved_by_hand_is_followed(whole: Installation) -> None:
    (whole.settings.sorted / "dogs/moved").mkdir()
    shutil.move(whole.settings.sorted / "cats/a/x.jpg", whole.settings.sorted / "dogs/moved/x2.jpg")
    assert told(whole) == {"missing sorted/cats/a/x.jpg": True, "unrecorded sorted/dogs/moved/x2.jpg": True}
    assert whole.state(1) == ("filed", "dogs", None, b"sorted/dogs/moved/x2.jpg")
    assert left(whole) == []
    [change] = whole.undo(last=1)
    assert change.path == whole.raw_sorted + b"/cats/a/x.jpg"


def test_a_correction_is_kept_only_where_the_folder_still_says_so(whole: Installation) -> None:
    whole.correct(b"cats/a/x.jpg", label="dog")
    shutil.move(whole.settings.sorted / "dogs/a/x.jpg", whole.settings.sorted / "dogs/z.jpg")
    repaired(whole)
    assert whole.state(1)[1:3] == ("dogs", "dog")
    shutil.move(whole.settings.sorted / "dogs/z.jpg", whole.settings.sorted / "cats/z.jpg")
    repaired(whole)
    assert whole.state(1)[1:3] == ("cats", None)


def test_a_copy_beside_the_photo_is_recorded_and_not_followed(whole: Installation) -> None:
    shutil.copy(whole.settings.sorted / "cats/a/x.jpg", whole.settings.sorted / "dogs/copy.jpg")
    assert told(whole) == {"unrecorded sorted/dogs/copy.jpg": True}
    assert whole.state(1)[3] == b"sorted/cats/a/x.jpg"
    assert left(whole) == []


def test_two_of_one_content_moved_by_hand_are_both_followed(whole: Installation) -> None:
    whole.file(b"twin.jpg", b"1")
    for name in ("a/x.jpg", "twin.jpg"):
        target = whole.settings.sorted / "dogs" / name.replace("/", "-")
        shutil.move(whole.settings.sorted / "cats" / name, target)
    assert sorted(told(whole).values()) == [True] * 4
    assert left(whole) == []


def test_an_orphan_in_the_spool_gets_a_row_and_waits(whole: Installation) -> None:
    put(whole.settings.spool / "77-0123abcd", b"3")
    assert told(whole) == {"orphan state/spool/77-0123abcd": True}
    assert left(whole) == ["unfinished"]


def test_a_filed_photo_that_a_power_cut_put_back_into_the_spool_is_filed_again(whole: Installation) -> None:
    [entry] = whole.ledger.entries([1])
    shutil.move(whole.settings.sorted / "cats/a/x.jpg", whole.settings.spool / entry.spool_name)
    found = told(whole)
    assert found.pop(f"orphan state/spool/{entry.spool_name}")
    assert found == {"missing sorted/cats/a/x.jpg": True}
    assert left(whole) == []


def test_a_move_that_was_cut_off_is_brought_to_its_end(whole: Installation) -> None:
    destination = whole.raw_sorted + b"/cats/y.jpg"
    whole.ledger.begin_move(2, "correct", destination, "cats", "cat", "ann", whole.now())
    moves.move(whole.raw_sorted + b"/dogs/y.jpg", destination)
    assert told(whole) == {"pending sorted/dogs/y.jpg": True}
    assert whole.state(2) == ("filed", "cats", "cat", b"sorted/cats/y.jpg")


def test_a_move_whose_file_is_gone_ends_and_says_so(whole: Installation) -> None:
    whole.ledger.begin_move(
        2, "correct", whole.raw_sorted + b"/cats/y.jpg", "cats", "cat", "ann", whole.now()
    )
    (whole.settings.sorted / "dogs/y.jpg").unlink()
    found = repaired(whole)
    assert [(r.problem.kind, r.done) for r in found if r.problem.kind == "pending"] == [("pending", True)]
    assert "the file is gone" in found[0].told
    assert left(whole) == ["missing"]


def test_what_only_people_can_mend_is_left_with_a_reason(whole: Installation) -> None:
    (whole.settings.sorted / "dogs/y.jpg").unlink()
    put(whole.settings.sorted / "cats/a/x.jpg", b"edited")
    put(whole.settings.sorted / "holiday/z.jpg", b"4")
    put(whole.settings.sorted / "cats/empty.jpg", b"")
    put(whole.settings.sorted / "cats" / (moves.TEMPORARY.decode() + "01"), b"5")
    put(whole.settings.inboxes[0] / "deep" / (moves.TEMPORARY.decode() + "02"), b"6")
    put(whole.settings.spool / "folder/7.jpg", b"7")
    shutil.rmtree(whole.settings.reports)
    whole.claim(b"new.jpg")
    before = contents(whole)
    found = told(whole)
    assert len(found) == 9
    assert not any(found.values())
    assert all(r.told.startswith("left: ") for r in repaired(whole))
    assert contents(whole) == before


def test_an_empty_file_in_failed_is_recorded_as_the_worker_puts_it_there(whole: Installation) -> None:
    put(whole.settings.sorted / "failed/empty.jpg", b"")
    assert told(whole) == {"unrecorded sorted/failed/empty.jpg": True}
    assert left(whole) == []
    assert whole.rows("outcome, reason", "name = 'empty.jpg'") == [("failed", "imported")]


def test_a_damaged_database_is_left_alone(whole: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("database", b"/x.db", None, "is damaged")
    monkeypatch.setattr(repair, "examine", lambda *_: iter([problem]))
    put(whole.settings.sorted / "cats/new.jpg", b"3")
    assert [(r.done, r.told[:4]) for r in repaired(whole)] == [(False, "left")]


def test_a_correction_under_way_keeps_repairs_out(
    whole: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.corrections import correct_undo_retry

    monkeypatch.setattr(correct_undo_retry, "LOCK_SECONDS", 0.05)
    with correct_undo_retry.moves_lock(whole.settings), pytest.raises(LockError):
        repaired(whole)


def test_pages_are_recorded_to_their_end(whole: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "PAGE", 3)
    for number in range(8):
        put(whole.settings.sorted / f"cats/new {number}.jpg", b"new %d" % number)
    assert list(told(whole).values()) == [True] * 8
    assert left(whole) == []


@pytest.fixture
def broken(whole: Installation) -> Installation:
    """A house with one of each that can be repaired."""
    for number in range(3):
        whole.file(b"%d.jpg" % number, b"n%d" % number)
    cats = whole.settings.sorted / "cats"
    shutil.move(cats / "0.jpg", cats / "moved.jpg")
    put(cats / "new.jpg", b"new")
    put(whole.settings.spool / "77-0123abcd", b"stray")
    [entry] = whole.ledger.entries([4])
    shutil.move(cats / "1.jpg", whole.settings.spool / entry.spool_name)
    whole.ledger.begin_move(
        5, "correct", whole.raw_sorted + b"/cats/c.jpg", "cats", "cat", "ann", whole.now()
    )
    whole.file(b"copy.jpg", b"1")
    (cats / "copy.jpg").unlink()
    whole.close()
    return whole


def test_a_repair_killed_anywhere_is_finished_by_the_next(
    broken: Installation, mortal: Mortal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base, kept = broken.settings.base, tmp_path_factory.mktemp("kept") / "house"
    shutil.copytree(base, kept)
    before = contents(broken)
    watched = [
        (Ledger, "begin_move"), (Ledger, "finish_move"), (Ledger, "adopt"), (Ledger, "end"),
        (repair, "record"), (repair, "take_up_stray"),
    ]  # fmt: skip
    n, died = 0, True
    while died:
        shutil.rmtree(base)
        shutil.copytree(kept, base)
        killed, next_one = Installation(base), Installation(base)
        died = mortal.dies_at(n, lambda pawsort=killed: repaired(pawsort), *watched)
        repaired(next_one)
        assert left(next_one) == ["unfinished"], "the stray waits for the worker"
        assert contents(next_one) == before
        killed.close()
        next_one.close()
        n += 2  # every other point: each takes a tenth of a second
    assert n > 10
