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
from tests.support.oracle import conserved
from tests.support.stub_classifier import BUNDLE, REASONS, SCORES, StubClassifier
from tests.support.world import SETTINGS, World, run_until_idle, step_until

OTHER = replace(BUNDLE, name="other", sha256="1" * 64)
CAT = SCORES[b"<cat>"]


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, SETTINGS + "duplicates: hold\n")
    yield world
    world.close()


def come_back(world: World, path: str, name: str | None = None) -> None:
    """Move a filed file into the inbox by hand, as the documentation says."""
    inbox = world.settings.inboxes[0]
    os.rename(world.settings.sorted / path, inbox / (name or os.path.basename(path)))


def change(world: World, **settings: Any) -> None:
    world.settings = world.settings.model_copy(update=settings)


def live(world: World, bundle: Bundle = BUNDLE) -> list[bytes]:
    """One life of a worker with `bundle`; return the paths that the classifier was given."""
    seen: list[bytes] = []
    classifier = StubClassifier()
    submit = classifier.submit
    classifier.submit = lambda items: (seen.extend(path for _, path in items), submit(items))[1]  # type: ignore
    world.live(classifier, bundle)
    conserved(world.settings, world.injected)
    agree(world)
    return seen


@contextmanager
def database(world: World) -> Iterator[Engine]:
    engine = open_database(world.settings.database_url, "write")
    yield engine
    engine.dispose()


def correct(world: World, path: str, label: str) -> None:
    with database(world) as engine:
        file = os.fsencode(world.settings.sorted / path)
        [change] = correct_undo_retry.correct(engine, world.settings, [file], label, "ann", BUNDLE.folders)
    assert change.problem is None


def undo(world: World, path: str) -> None:
    with database(world) as engine:
        [change] = correct_undo_retry.undo(
            engine, world.settings, "ann", [os.fsencode(world.settings.sorted / path)]
        )
    assert change.problem is None


def agree(world: World) -> None:
    """Counts, `query`, Browse, Review, the reports and `doctor` say what lies in the folders."""
    tree: dict[str, int] = {}
    for path in world.sorted():
        outcome = path.split("/")[0]
        tree[outcome] = tree.get(outcome, 0) + 1
    with database(world) as engine:
        counted = {o: n for o, n in listing.counts(engine).items() if o not in ("waiting", "undone")}
        assert counted == tree
        rows = [row for row in listing.results(engine) if row["outcome"]]
        assert len({row["path"] for row in rows}) == len(rows) == sum(tree.values())
        _, pages = browse.first_page(engine, browse.Choice(), list(tree))
        assert pages.by_outcome == tree
        assert sum(review.left(engine).values()) <= tree.get("uncertain", 0)
        report = Reporter(
            engine, world.settings.reports, ZoneInfo("UTC"), dt.time(0, 10), ("cats", "dogs", "uncertain")
        ).write_day(dt.datetime.now(dt.UTC).date(), dt.datetime.now(dt.UTC))
        assert report.reconciles
        assert {o: n for o, n in report.counts.items() if n and o not in ("waiting", "undone")} == tree
        found = [problem for problem in examine(engine, world.settings) if problem.kind != "folder"]
        assert [(p.kind, p.path) for p in found if p.kind != "unfinished"] == []


# --- an answer is taken over under the same conditions only -------------------------------------------


def test_a_photo_that_comes_back_after_the_promise_changed_is_judged_by_the_new_one(world: World) -> None:
    world.drop("x.jpg", b"<unsure>")
    live(world)
    come_back(world, "uncertain/x.jpg")
    change(world, decision=DecisionSettings(min_confidence=0.4))
    assert len(live(world)) == 1
    assert world.rows("name, outcome, reason, model") == [("x.jpg", "cats", None, "stub")]


def test_a_photo_that_comes_back_after_the_model_changed_is_judged_by_the_new_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("x.jpg", b"<unsure>")
    live(world)
    come_back(world, "uncertain/x.jpg")
    monkeypatch.setitem(SCORES, b"<unsure>", CAT)
    live(world, OTHER)
    assert world.rows("outcome, model, model_sha256") == [("cats", "other", "1" * 64)]


def test_a_failure_is_tried_again_after_a_limit_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop("x.jpg", b"<truncated>")
    live(world)
    come_back(world, "failed/x.jpg")
    change(world, limits=LimitSettings(file_mb=0.002))
    monkeypatch.delitem(REASONS, b"<truncated>")
    monkeypatch.setitem(SCORES, b"<truncated>", CAT)
    live(world)
    assert world.rows() == [("x.jpg", "cats", None)]


def test_a_failed_file_that_comes_back_is_classified_again(world: World) -> None:
    world.drop("x.jpg", b"<truncated>")
    live(world)
    come_back(world, "failed/x.jpg")
    assert len(live(world)) == 1
    assert world.rows("id, outcome, reason, duplicate_of") == [(2, "failed", "truncated", None)]


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
    world: World, settings: dict[str, Any], bundle: Bundle
) -> None:
    world.drop("a.jpg", b"<dog>")
    live(world)
    change(world, **settings)
    world.drop("b.jpg", b"<dog>")
    assert len(live(world, bundle)) == 1
    rows = world.rows("name, model, duplicate_of")
    assert rows == [("a.jpg", "stub", None), ("b.jpg", bundle.name, 1)]


def test_an_answer_from_other_code_or_another_engine_is_not_taken_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = answer_key(world.settings, BUNDLE)
    assert key == answer_key(world.settings, BUNDLE)
    monkeypatch.setattr("pipeline.classifier.answer_key.version", lambda name: "99")
    assert answer_key(world.settings, BUNDLE) != key


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


def test_a_row_of_an_older_version_answers_for_no_copy(world: World) -> None:
    world.drop("a.jpg", b"<dog>")
    live(world)
    with database(world) as engine, engine.begin() as connection:
        connection.execute(files.update().values(answer_key=None))
    world.drop("b.jpg", b"<dog>")
    assert len(live(world)) == 1
    assert world.rows("name, duplicate_of") == [("a.jpg", None), ("b.jpg", 1)]


@pytest.mark.parametrize(("reason", "marker"), [("timeout", b"<hang>"), ("decoder_crashed", b"<crash>")])
def test_a_failure_of_circumstances_is_not_taken_over_and_one_of_the_content_is(
    world: World, reason: str, marker: bytes
) -> None:
    for name in ("a.jpg", "whole.jpg"):
        world.drop(name, marker if name == "a.jpg" else b"<corrupt>")
    live(world)
    ids = dict(world.rows("name, id"))
    for name in ("b.jpg", "other.jpg"):
        world.drop(name, marker if name == "b.jpg" else b"<corrupt>")
    seen = {os.path.basename(path).split(b"-")[0] for path in live(world)}
    rows = {name: (id, why, like) for name, id, why, like in world.rows("name, id, reason, duplicate_of")}
    assert rows["b.jpg"][1:] == (reason, ids["a.jpg"])
    assert rows["other.jpg"][1:] == ("corrupt", ids["whole.jpg"])
    assert seen == {b"%d" % rows["b.jpg"][0]}


def test_it_comes_back_twice_and_under_other_names(world: World) -> None:
    world.drop("x.jpg", b"<unsure>")
    live(world)
    for number in range(3):
        [name] = world.sorted()
        come_back(world, name, f"{number}.jpg")
        assert len(live(world)) == 1
    assert world.rows("id, name, outcome, duplicate_of") == [(4, "2.jpg", "uncertain", None)]


# --- what a person said holds for the content ------------------------------------------------------------


def test_what_a_person_said_holds_for_copies_under_any_model_and_when_the_file_comes_back(
    world: World,
) -> None:
    world.drop("a.jpg", b"<unsure>")
    live(world)
    correct(world, "uncertain/a.jpg", "dog")
    world.drop("b.jpg", b"<unsure>")
    live(world, OTHER)
    assert world.sorted() == {"dogs/a.jpg", "dogs/b.jpg"}
    assert world.rows("name, reason, model, duplicate_of")[1] == ("b.jpg", None, "other", 1)
    for _ in range(2):
        come_back(world, "dogs/a.jpg")
        live(world)
        assert world.sorted() == {"dogs/a.jpg", "dogs/b.jpg"}


def test_what_a_person_took_back_does_not_hold(world: World) -> None:
    world.drop("a.jpg", b"<unsure>")
    live(world)
    correct(world, "uncertain/a.jpg", "dog")
    undo(world, "dogs/a.jpg")
    world.drop("b.jpg", b"<unsure>")
    live(world)
    assert world.sorted() == {"uncertain/a.jpg", "uncertain/b.jpg"}


def test_what_a_person_said_last_holds(world: World) -> None:
    for name in ("a.jpg", "b.jpg"):
        world.drop(name, b"<unsure>")
    live(world)
    correct(world, "uncertain/b.jpg", "dog")
    correct(world, "uncertain/a.jpg", "cat")
    world.drop("c.jpg", b"<unsure>")
    live(world)
    assert world.sorted() == {"cats/a.jpg", "dogs/b.jpg", "cats/c.jpg"}


def test_a_label_that_the_model_does_not_have_holds_for_nothing(world: World) -> None:
    world.drop("a.jpg", b"<unsure>")
    live(world)
    correct(world, "uncertain/a.jpg", "dog")
    world.drop("b.jpg", b"<unsure>")
    live(world, replace(OTHER, folders={"cat": "cats"}))
    assert world.sorted() == {"dogs/a.jpg", "uncertain/b.jpg"}


# --- held duplicates --------------------------------------------------------------------------------------


def deleted(world: World) -> None:
    os.unlink(world.settings.sorted / "dogs/a.jpg")
    world.injected.pop()


def moved_back(world: World) -> None:
    come_back(world, "dogs/a.jpg")
    world.injected.pop()
    os.unlink(world.settings.inboxes[0] / "a.jpg")


def replaced(world: World) -> None:
    (world.settings.sorted / "dogs/a.jpg").write_bytes(b"<bird")
    world.injected[:] = [b"<bird"]


def swapped_for_a_folder(world: World) -> None:
    deleted(world)
    (world.settings.sorted / "dogs/a.jpg").mkdir()


@pytest.mark.parametrize("away", [deleted, moved_back, swapped_for_a_folder, replaced])
def test_the_only_copy_is_never_held(holding: World, away: Callable[[World], None]) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    away(holding)
    holding.drop("b.jpg", b"<dog>")
    holding.live()
    assert ("b.jpg", "dogs", None) in holding.rows("name, outcome, duplicate_of")


def test_a_photo_that_comes_back_is_not_held(holding: World) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    for name in ("a.jpg", "b.jpg"):
        come_back(holding, next(iter(holding.sorted())), name)
        live(holding)
        assert holding.sorted() == {f"dogs/{name}"}


def test_a_copy_of_what_failed_is_not_held(holding: World) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<corrupt>")
        live(holding)
    assert holding.sorted() == {"failed/a.jpg", "failed/b.jpg"}


def test_a_copy_of_what_is_only_held_is_not_held(holding: World) -> None:
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


def test_a_copy_is_held_under_another_model_too_and_has_its_answer(holding: World) -> None:
    holding.drop("a.jpg", b"<dog>")
    live(holding)
    holding.drop("b.jpg", b"<dog>")
    live(holding, OTHER)
    assert holding.rows("outcome, model, duplicate_of")[1] == ("duplicates", "other", 1)


def test_two_of_one_content_that_come_back_together_are_one_and_a_duplicate(holding: World) -> None:
    for name in ("a.jpg", "b.jpg"):
        holding.drop(name, b"<dog>")
    live(holding)
    for name in holding.sorted():
        come_back(holding, name)
    live(holding)
    assert {path.split("/")[0] for path in holding.sorted()} == {"dogs", "duplicates"}


@pytest.mark.fault(70)
def test_another_disk_in_place_of_sorted_ends_no_row_and_holds_nothing(holding: World) -> None:
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


def test_a_file_that_comes_back_while_its_copy_stays_ends_its_own_row_only(world: World) -> None:
    for name in ("a.jpg", "b.jpg"):
        world.drop(name, b"<dog>")
        live(world)
    come_back(world, "dogs/b.jpg", "c.jpg")
    assert live(world) == []
    assert world.rows("name, outcome, duplicate_of") == [("a.jpg", "dogs", None), ("c.jpg", "dogs", 1)]


def test_a_photo_that_was_deleted_and_is_dropped_again_is_counted_once(world: World) -> None:
    world.drop("a.jpg", b"<dog>")
    live(world)
    deleted(world)
    world.drop("z.jpg", b"<dog>")
    live(world)
    assert world.rows("name, duplicate_of") == [("z.jpg", None)]


@pytest.mark.parametrize("newer", [False, True])
def test_a_copy_ends_no_row_while_the_disk_of_a_class_is_not_mounted(world: World, newer: bool) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        world.drop(name, b"<dog>" + name.encode())
    live(world)
    dogs = world.settings.sorted / "dogs"
    os.rename(dogs, world.settings.sorted.parent / "disk")
    dogs.mkdir()
    if newer:
        world.drop("new.jpg", b"<dog> filed under the mount point")
        world.live()
    world.drop("copy.jpg", b"<dog>a.jpg")
    world.live()
    assert [row for row in world.rows("name, state") if row[0] in "a.jpg"] == [("a.jpg", "filed")]
    for path in dogs.iterdir():
        os.rename(path, world.settings.sorted.parent / "disk" / path.name)
    dogs.rmdir()
    os.rename(world.settings.sorted.parent / "disk", dogs)
    conserved(world.settings, world.injected)


def test_a_copy_ends_no_row_whose_whole_folder_is_missing(world: World) -> None:
    for name in ("a.jpg", "b.jpg", "trip/c.jpg"):
        world.drop(name, b"<dog>" + name.encode())
    live(world)
    trip = world.settings.sorted / "dogs/trip"
    os.rename(trip, world.settings.sorted.parent / "disk")
    world.drop("copy.jpg", b"<dog>trip/c.jpg")
    world.live()
    assert len(world.rows("name")) == 4
    os.rename(world.settings.sorted.parent / "disk", trip)
    conserved(world.settings, world.injected)


def test_a_copy_of_a_photo_that_was_deleted_among_others_ends_its_row(world: World) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        world.drop(name, b"<dog>" + name.encode())
    live(world)
    os.unlink(world.settings.sorted / "dogs/a.jpg")
    world.injected.remove(b"<dog>a.jpg")
    (world.settings.sorted.parent / "other").write_bytes(b"")  # takes the inode
    world.drop("z.jpg", b"<dog>a.jpg")
    live(world)
    assert [name for (name,) in world.rows("name")] == ["b.jpg", "c.jpg", "z.jpg"]


@pytest.mark.parametrize("copied", [False, True])
def test_what_undo_put_back_is_left_alone_after_the_installation_was_moved(
    tmp_path: Path, copied: bool
) -> None:
    (tmp_path / "old").mkdir()
    old, new = World(tmp_path / "old"), tmp_path / "new"
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
    moved = World(new)
    moved.drop("another.jpg", b"<cat>")
    moved.live()
    assert moved.sorted() == {"dogs/c.jpg", "cats/another.jpg"}
    inbox = moved.settings.inboxes[0]
    os.rename(inbox / "a.jpg", inbox / "renamed.jpg")
    (inbox / "trip/b.jpg").write_bytes(b"<dog> edited")
    moved.live()
    assert {"dogs/renamed.jpg", "dogs/trip/b.jpg"} <= moved.sorted()
    moved.close()


def test_another_photo_under_the_path_of_one_that_is_gone_ends_the_row_of_that(world: World) -> None:
    world.drop("a.jpg", b"<dog>")
    live(world)
    deleted(world)
    world.drop("a.jpg", b"another <dog>")
    live(world)
    assert world.rows("id, path") == [(2, str(world.settings.sorted / "dogs/a.jpg"))]


def test_a_photo_that_a_correction_is_moving_keeps_its_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not at its path for a moment; a copy that arrives then is no return."""
    world.drop("a.jpg", b"<unsure>")
    live(world)
    with database(world) as engine:
        ledger = Ledger(engine, os.fsencode(world.settings.spool))
        source, target = (os.fsencode(world.settings.sorted / p) for p in ("uncertain/a.jpg", "dogs/a.jpg"))
        move = ledger.begin_move(1, "correct", target, "dogs", "dog", "ann", dt.datetime.now(dt.UTC))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
        world.drop("a.jpg", b"<unsure>")
        world.live()
        ledger.finish_move(move.id, dt.datetime.now(dt.UTC))
    assert world.rows("id, outcome") == [(1, "dogs"), (2, "uncertain")]
    conserved(world.settings, world.injected)


def test_an_undone_filing_that_comes_in_again_is_judged_anew(world: World) -> None:
    world.drop("a.jpg", b"<unsure>")
    live(world)
    undo(world, "uncertain/a.jpg")
    os.rename(world.settings.inboxes[0] / "a.jpg", world.settings.inboxes[0] / "b.jpg")
    change(world, decision=DecisionSettings(min_confidence=0.4))
    live(world)
    assert world.rows("name, outcome, duplicate_of") == [("b.jpg", "cats", None)]


def test_many_copies_are_read_in_part_and_the_one_that_came_back_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.ledger.statements.MOST_ALIKE", 2)
    for number in range(6):
        world.drop(f"{number}.jpg", b"<dog>")
        live(world)
    come_back(world, "dogs/4.jpg", "again.jpg")
    live(world)
    assert len(world.rows()) == 6


def test_a_kill_anywhere_loses_no_row_and_leaves_none_too_many(
    world: World, mortal: Mortal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, data in [("a.jpg", b"<unsure>"), ("b.jpg", b"<dog>"), ("c.jpg", b"<corrupt>")]:
        world.drop(name, data)
    live(world)
    for path in sorted(world.sorted()):
        come_back(world, path)
    world.close()
    base, kept = world.settings.base, tmp_path_factory.mktemp("kept") / "house"
    shutil.copytree(base, kept)
    watched = [(Ledger, name) for name in ("claim", "begin_decoding", "end", "decide", "file")]
    n, died = 0, True
    while died:
        for name in os.listdir(base):
            path = base / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(kept, base, dirs_exist_ok=True)
        died = mortal.dies_at(n, world.live, *watched)
        world.close()
        live(world)
        assert [row[1] for row in sorted(world.rows())] == ["uncertain", "dogs", "failed"]
        world.close()
        n += 5
    assert n > 10
