"""Two machines on one PostgreSQL: which rows and files each step and command looks at."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db.ledger.report_days import record_report
from db.queries.listing import ResultFilter
from db.queries.overview import newest_paths
from pipeline.corrections import correct_undo_retry
from pipeline.doctor.check import examine
from pipeline.errors import PawsortError
from pipeline.export.export import Way, export
from pipeline.learning.learn import _here, _judged
from pipeline.retention.keeper import Keeper
from pipeline.worker.startup import refuse_bare_mount
from tests.pipeline.many_workers.conftest import Machine
from tests.support.installation import FOLDERS
from tests.support.stub_classifier import BUNDLE


def only_id(machine: Machine, condition: str = "true") -> int:
    [(id,)] = machine.rows("id", condition)
    return int(id)


def test_a_copy_on_another_machine_gets_the_answer_and_names_the_first(ann: Machine, bob: Machine) -> None:
    ann.drop("a.jpg", b"same<cat>")
    ann.run_worker()
    bob.drop("b.jpg", b"same<cat>")
    bob.run_worker()
    assert bob.classifier.alone == [], "the answer is that of the first"
    assert bob.rows("outcome, duplicate_of, scores->>'cat'") == [
        ("cats", only_id(ann), ann.rows("scores->>'cat'")[0][0])
    ]
    for machine in (ann, bob):
        machine.is_sound()


def test_copies_are_held_back_only_beside_a_first_one_here(ann: Machine, tmp_path: Path) -> None:
    dora = Machine(tmp_path, ann.settings.database_url, "dora", "duplicates: hold\n")
    ann.drop("a.jpg", b"same<cat>")
    ann.run_worker()
    for name in ("b.jpg", "c.jpg"):
        dora.drop(name, b"same<cat>")
        dora.run_worker()
    assert dora.rows("name, outcome, duplicate_of") == [
        ("b.jpg", "cats", only_id(ann)),
        ("c.jpg", "duplicates", only_id(dora, "name = 'b.jpg'")),
    ]
    dora.is_sound()
    dora.close()


def test_a_correction_on_one_machine_decides_copies_on_the_others(ann: Machine, bob: Machine) -> None:
    ann.drop("a.jpg", b"same<cat>")
    ann.run_worker()
    ann.correct(b"cats/a.jpg")
    bob.drop("b.jpg", b"same<cat>")
    bob.run_worker()
    assert bob.rows("outcome") == [("dogs",)]


def test_a_file_that_is_gone_from_another_machine_ends_no_row(ann: Machine, bob: Machine) -> None:
    """The paths and folders of another machine say nothing here."""
    ann.drop("a.jpg", b"same<cat>")
    ann.run_worker()
    (ann.settings.sorted / "cats" / "a.jpg").rename(ann.folder / "on another disk")
    bob.drop("b.jpg", b"same<cat>")
    bob.run_worker()
    assert ann.rows("state") == [("filed",)]


@pytest.mark.parametrize("how", ["path", "id", "name"])
def test_what_another_machine_has_is_refused_with_its_name(ann: Machine, bob: Machine, how: str) -> None:
    ann.file(b"a.jpg")
    path = os.path.join(ann.raw_sorted, b"cats/a.jpg")
    known = correct_undo_retry.Known(only_id(ann), 0)
    file = {"path": path, "id": known, "name": b"a.jpg"}[how]
    given = bob.engine, bob.settings
    changes = [
        *correct_undo_retry.correct(*given, [file], "dog", "bob", FOLDERS),
        *correct_undo_retry.undo(*given, "bob", [file]),
        *correct_undo_retry.retry(*given, "bob", [file]),
    ]
    assert ["worker ann" in str(change.problem) for change in changes] == [True] * 3
    assert ann.rows("state, outcome, path") == [("filed", "cats", os.fsdecode(path))]
    assert [change.problem for change in ann.correct(b"cats/a.jpg")] == [None]


def test_undoing_the_last_undoes_the_last_of_this_machine(ann: Machine, bob: Machine) -> None:
    ann.file(b"a.jpg", b"a")
    bob.file(b"b.jpg", b"b")
    bob.correct(b"cats/b.jpg")
    assert [change.file for change in ann.undo(last=9)] == [os.path.join(ann.raw_sorted, b"cats/a.jpg")]
    assert bob.rows("outcome") == [("dogs",)]


def test_doctor_and_the_bare_mount_look_at_this_machine_alone(ann: Machine, bob: Machine) -> None:
    ann.file(b"a.jpg")
    (ann.settings.sorted / "cats" / "a.jpg").unlink()
    ann.claim(b"b.jpg")
    assert list(examine(bob.engine, bob.settings)) == []
    refuse_bare_mount(bob.settings, BUNDLE, bob.engine)
    (ann.settings.sorted / "cats").rmdir()
    with pytest.raises(PawsortError, match="1 files were filed"):
        refuse_bare_mount(ann.settings, BUNDLE, ann.engine)
    assert newest_paths(bob.engine, 9) == []


def test_a_row_of_which_another_machine_has_a_copy_is_kept(ann: Machine, bob: Machine) -> None:
    first = ann.file(b"a.jpg", b"same")
    other = ann.file(b"c.jpg", b"other")
    gone = bob.file(b"z.jpg", b"of bob")
    ann.file(b"newest.jpg", b"newest")
    bob.file(b"b.jpg", b"same", duplicate_of=first)
    with bob.everyone.begin() as connection:
        connection.execute(
            text("UPDATE files SET state = 'removed', confidence = NULL WHERE id IN (:a, :c, :z)"),
            {"a": first, "c": other, "z": gone},
        )
    later = datetime.now(UTC) + timedelta(days=40)
    record_report(ann.everyone, date(2027, 1, 1), later, 0)
    ann.settings = ann.settings.model_copy(
        update={"keep": ann.settings.keep.model_copy(update={"rows_days": 1})}
    )
    keeper = Keeper(ann.engine, ann.settings, lambda: later, ann.everyone)
    kept = (ann, first), (bob, gone), (ann, other)
    assert keeper.plan().rows == [other]
    assert keeper.apply().rows == [other]
    assert [bool(machine.rows("id", f"id = {id}")) for machine, id in kept] == [True, True, False]


def test_an_export_has_the_photos_of_this_machine_and_counts_the_others(
    ann: Machine, bob: Machine, tmp_path: Path
) -> None:
    ann.file(b"a.jpg", b"a")
    bob.file(b"b.jpg", b"b")
    found = list(export(ann.engine, ann.settings, tmp_path / "out", ResultFilter(), Way("original")))
    assert [(each.path, each.elsewhere) for each in found] == [(None, "bob"), (b"a.jpg", None)]


def test_judged_photos_are_those_of_all_by_the_paths_that_they_have_here(ann: Machine, bob: Machine) -> None:
    for machine, name, content in ((ann, b"a.jpg", b"same"), (bob, b"b.jpg", b"same"), (bob, b"c.jpg", b"c")):
        machine.file(name, content)
        machine.correct(b"cats/" + name)
    judged = _here(ann.engine, _judged(ann.everyone))
    assert sorted(os.fsdecode(row.path) for row in judged) == [
        str(ann.settings.sorted / "dogs" / "a.jpg"),
        str(bob.settings.sorted / "dogs" / "c.jpg"),
    ]
