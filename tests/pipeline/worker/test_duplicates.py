"""What becomes of content that was seen before: a copy, or the very file that comes back."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from db.connection.engine import open_database
from db.ledger.ledger import Ledger
from db.queries import browse, listing, review
from db.schema.tables import files
from models.bundle.bundle import Bundle
from pipeline.classifier.answer_key import answer_key, code_files
from pipeline.config import DecisionSettings, LimitSettings
from pipeline.corrections import correct_undo_retry
from pipeline.doctor.check import examine
from pipeline.reports.daily import Reporter
from scripts.import_graph import module_graph, modules
from tests.support.crash import Mortal
from tests.support.installation import SMALL, Installation, run_until_idle, step_until
from tests.support.oracle import conserved
from tests.support.stub_answers import REASONS, SCORES
from tests.support.stub_classifier import BUNDLE, StubClassifier

OTHER = replace(BUNDLE, name="other", sha256="1" * 64)
CAT = SCORES[b"<cat>"]


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Installation]:
    pawsort = Installation(tmp_path, SMALL + "duplicates: hold\n")
    yield pawsort
    pawsort.close()


def come_back(pawsort: Installation, path: str, name: str | None = None) -> None:
    """Move a filed file into the inbox by hand, as the documentation says."""
    inbox = pawsort.settings.inboxes[0]
    os.rename(pawsort.settings.sorted / path, inbox / (name or os.path.basename(path)))


def change(pawsort: Installation, **settings: Any) -> None:
    pawsort.settings = pawsort.settings.model_copy(update=settings)


def live(pawsort: Installation, bundle: Bundle = BUNDLE) -> list[bytes]:
    """One life of a worker with `bundle`; return the paths that the classifier was given."""
    seen: list[bytes] = []
    classifier = StubClassifier()
    submit = classifier.submit
    classifier.submit = lambda items: (seen.extend(path for _, path in items), submit(items))[1]  # type: ignore
    pawsort.run_worker(classifier, bundle)
    conserved(pawsort.settings, pawsort.injected)
    agree(pawsort)
    return seen


@contextmanager
def database(pawsort: Installation) -> Iterator[Engine]:
    engine = open_database(pawsort.settings.database_url, "write")
    yield engine
    engine.dispose()


def correct(pawsort: Installation, path: str, label: str) -> None:
    with database(pawsort) as engine:
        file = os.fsencode(pawsort.settings.sorted / path)
        [change] = correct_undo_retry.correct(engine, pawsort.settings, [file], label, "ann", BUNDLE.folders)
    assert change.problem is None


def undo(pawsort: Installation, path: str) -> None:
    with database(pawsort) as engine:
        [change] = correct_undo_retry.undo(
            engine, pawsort.settings, "ann", [os.fsencode(pawsort.settings.sorted / path)]
        )
    assert change.problem is None


def agree(pawsort: Installation) -> None:
    """Counts, `query`, Browse, Review, the reports and `doctor` say what lies in the folders."""
    tree: dict[str, int] = {}
    for path in pawsort.sorted():
        outcome = path.split("/")[0]
        tree[outcome] = tree.get(outcome, 0) + 1
    with database(pawsort) as engine:
        counted = {o: n for o, n in listing.counts(engine).items() if o not in ("waiting", "undone")}
        assert counted == tree
        rows = [row for row in listing.results(engine) if row["outcome"]]
        assert len({row["path"] for row in rows}) == len(rows) == sum(tree.values())
        _, pages = browse.first_page(engine, browse.Choice(), list(tree))
        assert pages.by_outcome == tree
        assert sum(review.left(engine).values()) <= tree.get("uncertain", 0)
        report = Reporter(
            engine, pawsort.settings.reports, ZoneInfo("UTC"), dt.time(0, 10), ("cats", "dogs", "uncertain")
        ).write_day(dt.datetime.now(dt.UTC).date(), dt.datetime.now(dt.UTC))
        assert report.reconciles
        assert {o: n for o, n in report.counts.items() if n and o not in ("waiting", "undone")} == tree
        found = [problem for problem in examine(engine, pawsort.settings) if problem.kind != "folder"]
        assert [(p.kind, p.path) for p in found if p.kind != "unfinished"] == []


# --- an answer is taken over under the same conditions only -------------------------------------------


def test_a_photo_that_comes_back_after_the_promise_changed_is_judged_by_the_new_one(
    pawsort: Installation,
) -> None:
    pawsort.drop("x.jpg", b"<unsure>")
    live(pawsort)
    come_back(pawsort, "uncertain/x.jpg")
    change(pawsort, decision=DecisionSettings(min_confidence=0.4))
    assert len(live(pawsort)) == 1
    assert pawsort.rows("name, outcome, reason, model") == [("x.jpg", "cats", None, "stub")]


def test_a_photo_that_comes_back_after_the_model_changed_is_judged_by_the_new_one(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("x.jpg", b"<unsure>")
    live(pawsort)
    come_back(pawsort, "uncertain/x.jpg")
    monkeypatch.setitem(SCORES, b"<unsure>", CAT)
    live(pawsort, OTHER)
    assert pawsort.rows("outcome, model, model_sha256") == [("cats", "other", "1" * 64)]


def test_a_failure_is_tried_again_after_a_limit_changed(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pawsort.drop("x.jpg", b"<truncated>")
    live(pawsort)
    come_back(pawsort, "failed/x.jpg")
    change(pawsort, limits=LimitSettings(file_mb=0.002))
    monkeypatch.delitem(REASONS, b"<truncated>")
    monkeypatch.setitem(SCORES, b"<truncated>", CAT)
    live(pawsort)
    assert pawsort.rows() == [("x.jpg", "cats", None)]


def test_a_failed_file_that_comes_back_is_classified_again(pawsort: Installation) -> None:
    pawsort.drop("x.jpg", b"<truncated>")
    live(pawsort)
    come_back(pawsort, "failed/x.jpg")
    assert len(live(pawsort)) == 1
    assert pawsort.rows("id, outcome, reason, duplicate_of") == [(2, "failed", "truncated", None)]


@pytest.mark.parametrize(
    ("settings", "bundle"),
    [
        ({}, OTHER),
        ({}, replace(BUNDLE, folders={"cat": "dogs", "dog": "cats"})),
        ({"decision": DecisionSettings(min_confidence=0.5)}, BUNDLE),
        ({"limits": LimitSettings(file_mb=0.001, megapixels=1)}, BUNDLE),
        ({"limits": LimitSettings(file_mb=0.001, decode_seconds=1)}, BUNDLE),
        ({"engine": "tensorflow"}, BUNDLE),
    ],
    ids=["model", "folders", "threshold", "pixels", "seconds", "engine"],
)
def test_a_copy_is_classified_again_where_its_answer_could_be_another(
    pawsort: Installation, settings: dict[str, Any], bundle: Bundle
) -> None:
    pawsort.drop("a.jpg", b"<dog>")
    live(pawsort)
    change(pawsort, **settings)
    pawsort.drop("b.jpg", b"<dog>")
    assert len(live(pawsort, bundle)) == 1
    rows = pawsort.rows("name, model, duplicate_of")
    assert rows == [("a.jpg", "stub", None), ("b.jpg", bundle.name, 1)]


def test_an_answer_from_other_code_or_another_engine_is_not_taken_over(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = answer_key(pawsort.settings, BUNDLE)
    assert key == answer_key(pawsort.settings, BUNDLE)
    monkeypatch.setattr("pipeline.classifier.answer_key.version", lambda name: "99")
    assert answer_key(pawsort.settings, BUNDLE) != key


def test_the_answer_key_covers_each_module_that_has_a_part_in_an_answer() -> None:
    graph = module_graph()
    reached: set[str] = set()
    waiting = {"pipeline.classifier.serve", "pipeline.classifier.image_loader", "pipeline.decision"}
    while waiting:
        reached |= waiting
        waiting = {name for module in waiting for name in graph[module]} - reached
    parts = {name for name in reached if name.startswith(("models.", "pipeline.classifier."))}
    paths = modules()
    assert len(parts) > 30
    assert {name for name in parts if paths[name] not in code_files()} == set()


def test_a_row_of_an_older_version_answers_for_no_copy(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<dog>")
    live(pawsort)
    with database(pawsort) as engine, engine.begin() as connection:
        connection.execute(files.update().values(answer_key=None))
    pawsort.drop("b.jpg", b"<dog>")
    assert len(live(pawsort)) == 1
    assert pawsort.rows("name, duplicate_of") == [("a.jpg", None), ("b.jpg", 1)]


@pytest.mark.parametrize(("reason", "marker"), [("timeout", b"<hang>"), ("decoder_crashed", b"<crash>")])
def test_a_failure_of_circumstances_is_not_taken_over_and_one_of_the_content_is(
    pawsort: Installation, reason: str, marker: bytes
) -> None:
    for name in ("a.jpg", "whole.jpg"):
        pawsort.drop(name, marker if name == "a.jpg" else b"<corrupt>")
    live(pawsort)
    ids = dict(pawsort.rows("name, id"))
    for name in ("b.jpg", "other.jpg"):
        pawsort.drop(name, marker if name == "b.jpg" else b"<corrupt>")
    seen = {os.path.basename(path).split(b"-")[0] for path in live(pawsort)}
    rows = {name: (id, why, like) for name, id, why, like in pawsort.rows("name, id, reason, duplicate_of")}
    assert rows["b.jpg"][1:] == (reason, ids["a.jpg"])
    assert rows["other.jpg"][1:] == ("corrupt", ids["whole.jpg"])
    assert seen == {b"%d" % rows["b.jpg"][0]}


def test_it_comes_back_twice_and_under_other_names(pawsort: Installation) -> None:
    pawsort.drop("x.jpg", b"<unsure>")
    live(pawsort)
    for number in range(3):
        [name] = pawsort.sorted()
        come_back(pawsort, name, f"{number}.jpg")
        assert len(live(pawsort)) == 1
    assert pawsort.rows("id, name, outcome, duplicate_of") == [(4, "2.jpg", "uncertain", None)]


# --- what a person said holds for the content ------------------------------------------------------------


def test_what_a_person_said_holds_for_copies_under_any_model_and_when_the_file_comes_back(
    pawsort: Installation,
) -> None:
    pawsort.drop("a.jpg", b"<unsure>")
    live(pawsort)
    correct(pawsort, "uncertain/a.jpg", "dog")
    pawsort.drop("b.jpg", b"<unsure>")
    live(pawsort, OTHER)
    assert pawsort.sorted() == {"dogs/a.jpg", "dogs/b.jpg"}
    assert pawsort.rows("name, reason, model, duplicate_of")[1] == ("b.jpg", None, "other", 1)
    for _ in range(2):
        come_back(pawsort, "dogs/a.jpg")
        live(pawsort)
        assert pawsort.sorted() == {"dogs/a.jpg", "dogs/b.jpg"}


def test_what_a_person_took_back_does_not_hold(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<unsure>")
    live(pawsort)
    correct(pawsort, "uncertain/a.jpg", "dog")
    undo(pawsort, "dogs/a.jpg")
    pawsort.drop("b.jpg", b"<unsure>")
    live(pawsort)
    assert pawsort.sorted() == {"uncertain/a.jpg", "uncertain/b.jpg"}


def test_what_a_person_said_last_holds(pawsort: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        pawsort.drop(name, b"<unsure>")
    live(pawsort)
    correct(pawsort, "uncertain/b.jpg", "dog")
    correct(pawsort, "uncertain/a.jpg", "cat")
    pawsort.drop("c.jpg", b"<unsure>")
    live(pawsort)
    assert pawsort.sorted() == {"cats/a.jpg", "dogs/b.jpg", "cats/c.jpg"}


def test_a_label_that_the_model_does_not_have_holds_for_nothing(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<unsure>")
    live(pawsort)
    correct(pawsort, "uncertain/a.jpg", "dog")
    pawsort.drop("b.jpg", b"<unsure>")
    live(pawsort, replace(OTHER, folders={"cat": "cats"}))
    assert pawsort.sorted() == {"dogs/a.jpg", "uncertain/b.jpg"}


# --- held duplicates --------------------------------------------------------------------------------------


def deleted(pawsort: Installation) -> None:
    os.unlink(pawsort.settings.sorted / "dogs/a.jpg")
    pawsort.injected.pop()


def moved_back(pawsort: Installation) -> None:
    come_back(pawsort, "dogs/a.jpg")
    pawsort.injected.pop()
    os.unlink(pawsort.settings.inboxes[0] / "a.jpg")


def replaced(pawsort: Installation) -> None:
    (pawsort.settings.sorted / "dogs/a.jpg").write_bytes(b"<bird")
    pawsort.injected[:] = [b"<bird"]


def swapped_for_a_folder(pawsort: Installation) -> None:
    deleted(pawsort)
    (pawsort.settings.sorted / "dogs/a.jpg").mkdir()


@pytest.mark.parametrize("away", [deleted, moved_back, swapped_for_a_folder, replaced])
def test_the_only_copy_is_never_held(holding: Installation, away: Callable[[Installation], None]) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    away(holding)
    holding.drop("b.jpg", b"<dog>")
    holding.run_worker()
    assert ("b.jpg", "dogs", None) in holding.rows("name, outcome, duplicate_of")


def test_a_photo_that_comes_back_is_not_held(holding: Installation) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    for name in ("a.jpg", "b.jpg"):
        come_back(holding, next(iter(holding.sorted())), name)
        live(holding)
        assert holding.sorted() == {f"dogs/{name}"}


def test_a_copy_of_what_failed_is_not_held(holding: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<corrupt>")
        live(holding)
    assert holding.sorted() == {"failed/a.jpg", "failed/b.jpg"}


def test_a_copy_of_what_is_only_held_is_not_held(holding: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<dog>")
        live(holding)
    deleted(holding)
    holding.drop("c.jpg", b"<dog>")
    live(holding)
    assert holding.sorted() == {"duplicates/b.jpg", "dogs/c.jpg"}
    holding.drop("d.jpg", b"<dog>")
    live(holding)
    assert "duplicates/d.jpg" in holding.sorted()


def test_a_copy_is_held_under_another_model_too_and_has_its_answer(holding: Installation) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    holding.drop("b.jpg", b"<dog>")
    live(holding, OTHER)
    assert holding.rows("outcome, model, duplicate_of")[1] == ("duplicates", "other", 1)


def test_two_of_one_content_that_come_back_together_are_one_and_a_duplicate(holding: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<dog>")
    live(holding)
    for name in holding.sorted():
        come_back(holding, name)
    live(holding)
    assert {path.split("/")[0] for path in holding.sorted()} == {"dogs", "duplicates"}


@pytest.mark.fault(70)
def test_another_disk_in_place_of_sorted_ends_no_row_and_holds_nothing(holding: Installation) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    worker = holding.worker()
    worker.start()
    os.rename(holding.settings.sorted, holding.settings.base / "away")
    (holding.settings.sorted / "dogs").mkdir(parents=True)
    holding.drop("b.jpg", b"<dog>")
    step_until(worker, lambda: worker.trouble)
    assert "another folder than at the start" in str(worker.trouble)
    (holding.settings.sorted / "dogs").rmdir()
    holding.settings.sorted.rmdir()
    os.rename(holding.settings.base / "away", holding.settings.sorted)
    worker._resume_at = 0.0
    run_until_idle(worker)
    worker.stop()
    assert holding.sorted() == {"dogs/a.jpg", "duplicates/b.jpg"}
    conserved(holding.settings, holding.injected)


# --- rows whose file has come back ----------------------------------------------------------------------


def test_a_file_that_comes_back_while_its_copy_stays_ends_its_own_row_only(pawsort: Installation) -> None:
    for name in ("a.jpg", "b.jpg"):
        pawsort.drop(name, b"<dog>")
        live(pawsort)
    come_back(pawsort, "dogs/b.jpg", "c.jpg")
    assert live(pawsort) == []
    assert pawsort.rows("name, outcome, duplicate_of") == [("a.jpg", "dogs", None), ("c.jpg", "dogs", 1)]


def test_a_photo_that_was_deleted_and_is_dropped_again_is_counted_once(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<dog>")
    live(pawsort)
    deleted(pawsort)
    pawsort.drop("z.jpg", b"<dog>")
    live(pawsort)
    assert pawsort.rows("name, duplicate_of") == [("z.jpg", None)]


@pytest.mark.parametrize("newer", [False, True])
def test_a_copy_ends_no_row_while_the_disk_of_a_class_is_not_mounted(
    pawsort: Installation, newer: bool
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        pawsort.drop(name, b"<dog>" + name.encode())
    live(pawsort)
    dogs = pawsort.settings.sorted / "dogs"
    os.rename(dogs, pawsort.settings.sorted.parent / "disk")
    dogs.mkdir()
    if newer:
        pawsort.drop("new.jpg", b"<dog> filed under the mount point")
        pawsort.run_worker()
    pawsort.drop("copy.jpg", b"<dog>a.jpg")
    pawsort.run_worker()
    assert [row for row in pawsort.rows("name, state") if row[0] in "a.jpg"] == [("a.jpg", "filed")]
    for path in dogs.iterdir():
        os.rename(path, pawsort.settings.sorted.parent / "disk" / path.name)
    dogs.rmdir()
    os.rename(pawsort.settings.sorted.parent / "disk", dogs)
    conserved(pawsort.settings, pawsort.injected)


def test_a_copy_ends_no_row_whose_whole_folder_is_missing(pawsort: Installation) -> None:
    for name in ("a.jpg", "b.jpg", "trip/c.jpg"):
        pawsort.drop(name, b"<dog>" + name.encode())
    live(pawsort)
    trip = pawsort.settings.sorted / "dogs/trip"
    os.rename(trip, pawsort.settings.sorted.parent / "disk")
    pawsort.drop("copy.jpg", b"<dog>trip/c.jpg")
    pawsort.run_worker()
    assert len(pawsort.rows("name")) == 4
    os.rename(pawsort.settings.sorted.parent / "disk", trip)
    conserved(pawsort.settings, pawsort.injected)


def test_a_copy_of_a_photo_that_was_deleted_among_others_ends_its_row(pawsort: Installation) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        pawsort.drop(name, b"<dog>" + name.encode())
    live(pawsort)
    os.unlink(pawsort.settings.sorted / "dogs/a.jpg")
    pawsort.injected.remove(b"<dog>a.jpg")
    (pawsort.settings.sorted.parent / "other").write_bytes(b"")  # takes the inode
    pawsort.drop("z.jpg", b"<dog>a.jpg")
    live(pawsort)
    assert [name for (name,) in pawsort.rows("name")] == ["b.jpg", "c.jpg", "z.jpg"]


@pytest.mark.parametrize("copied", [False, True])
def test_what_undo_put_back_is_left_alone_after_the_installation_was_moved(
    tmp_path: Path, copied: bool
) -> None:
    (tmp_path / "old").mkdir()
    old, new = Installation(tmp_path / "old", SMALL), tmp_path / "new"
    for name in ("a.jpg", "trip/b.jpg", "c.jpg"):
        old.drop(name, b"<dog>" + name.encode())
    live(old)
    undo(old, "dogs/a.jpg")
    undo(old, "dogs/trip/b.jpg")
    old.close()
    shutil.move(tmp_path / "old", new)
    if copied:  # a backup that was restored has other inodes
        shutil.copytree(new, tmp_path / "copy")
        shutil.rmtree(new)
        shutil.move(tmp_path / "copy", new)
    moved = Installation(new, SMALL)
    moved.drop("another.jpg", b"<cat>")
    moved.run_worker()
    assert moved.sorted() == {"dogs/c.jpg", "cats/another.jpg"}
    inbox = moved.settings.inboxes[0]
    os.rename(inbox / "a.jpg", inbox / "renamed.jpg")
    (inbox / "trip/b.jpg").write_bytes(b"<dog> edited")
    moved.run_worker()
    assert {"dogs/renamed.jpg", "dogs/trip/b.jpg"} <= moved.sorted()
    moved.close()


def test_another_photo_under_the_path_of_one_that_is_gone_ends_the_row_of_that(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<dog>")
    live(pawsort)
    deleted(pawsort)
    pawsort.drop("a.jpg", b"another <dog>")
    live(pawsort)
    assert pawsort.rows("id, path") == [(2, str(pawsort.settings.sorted / "dogs/a.jpg"))]


def test_a_photo_that_a_correction_is_moving_keeps_its_row(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not at its path for a moment; a copy that arrives then is no return."""
    pawsort.drop("a.jpg", b"<unsure>")
    live(pawsort)
    with database(pawsort) as engine:
        ledger = Ledger(engine, os.fsencode(pawsort.settings.spool))
        source, target = (os.fsencode(pawsort.settings.sorted / p) for p in ("uncertain/a.jpg", "dogs/a.jpg"))
        move = ledger.begin_move(1, "correct", target, "dogs", "dog", "ann", dt.datetime.now(dt.UTC))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
        pawsort.drop("a.jpg", b"<unsure>")
        pawsort.run_worker()
        ledger.finish_move(move.id, dt.datetime.now(dt.UTC))
    assert pawsort.rows("id, outcome") == [(1, "dogs"), (2, "uncertain")]
    conserved(pawsort.settings, pawsort.injected)


def test_an_undone_filing_that_comes_in_again_is_judged_anew(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<unsure>")
    live(pawsort)
    undo(pawsort, "uncertain/a.jpg")
    os.rename(pawsort.settings.inboxes[0] / "a.jpg", pawsort.settings.inboxes[0] / "b.jpg")
    change(pawsort, decision=DecisionSettings(min_confidence=0.4))
    live(pawsort)
    assert pawsort.rows("name, outcome, duplicate_of") == [("b.jpg", "cats", None)]


def test_many_copies_are_read_in_part_and_the_one_that_came_back_is_found(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.ledger.statements.MOST_ALIKE", 2)
    for number in range(6):
        pawsort.drop(f"{number}.jpg", b"<dog>")
        live(pawsort)
    come_back(pawsort, "dogs/4.jpg", "again.jpg")
    live(pawsort)
    assert len(pawsort.rows()) == 6


def test_a_kill_anywhere_loses_no_row_and_leaves_none_too_many(
    pawsort: Installation, mortal: Mortal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, data in [("a.jpg", b"<unsure>"), ("b.jpg", b"<dog>"), ("c.jpg", b"<corrupt>")]:
        pawsort.drop(name, data)
    live(pawsort)
    for path in sorted(pawsort.sorted()):
        come_back(pawsort, path)
    pawsort.close()
    base, kept = pawsort.settings.base, tmp_path_factory.mktemp("kept") / "house"
    shutil.copytree(base, kept)
    watched = [(Ledger, name) for name in ("claim", "begin_decoding", "end", "decide", "file")]
    n, died = 0, True
    while died:
        for name in os.listdir(base):
            path = base / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(kept, base, dirs_exist_ok=True)
        died = mortal.dies_at(n, pawsort.run_worker, *watched)
        pawsort.close()
        live(pawsort)
        assert [row[1] for row in sorted(pawsort.rows())] == ["uncertain", "dogs", "failed"]
        pawsort.close()
        n += 5
    assert n > 10
