"""What a worker does with what it finds: the main job."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from db.connection.engine import open_database
from db.queries.overview import failed_paths
from pipeline.corrections.correct_undo_retry import correct, retry
from tests.support.oracle import conserved, files_below
from tests.support.stub_classifier import BUNDLE, StubClassifier
from tests.support.world import SETTINGS, World


def test_each_file_goes_to_the_folder_of_its_answer(world: World) -> None:
    for name in ("cat", "dog", "neither", "unsure", "truncated"):
        world.drop(f"{name}.jpg", f"<{name}>".encode())
    world.live()
    assert world.sorted() == {
        "cats/cat.jpg",
        "dogs/dog.jpg",
        "uncertain/neither.jpg",
        "uncertain/unsure.jpg",
        "failed/truncated.jpg",
    }
    assert set(world.rows()) == {
        ("cat.jpg", "cats", None),
        ("dog.jpg", "dogs", None),
        ("neither.jpg", "uncertain", "neither"),
        ("unsure.jpg", "uncertain", "low_confidence"),
        ("truncated.jpg", "failed", "truncated"),
    }
    conserved(world.settings, world.injected)


@pytest.mark.fault(38)
def test_subfolders_are_kept_and_equal_names_numbered(world: World) -> None:
    world.drop("a/b/x.jpg", b"1<cat>")
    world.drop("a/b/x.jpg", b"2<cat>", inbox=1)
    world.live()
    assert world.sorted() == {"cats/a/b/x.jpg", "cats/a/b/x (2).jpg"}
    conserved(world.settings, world.injected)


@pytest.mark.fault(33, 34, 35, 36)
def test_names_of_any_bytes_are_filed_with_the_same_bytes(world: World) -> None:
    names = [
        b"\xff\xfe.jpg",
        b"new\nline.jpg",
        b"back\\slash.jpg",
        b"-rf =+@.jpg",
        b"br[1]*.jpg",
        b"C" * 251 + b".jpg",
    ]
    for name in names:
        world.drop(name, name + b"<dog>")
    world.live()
    assert {os.path.basename(path) for path in files_below(world.settings.sorted)} == set(names)
    conserved(world.settings, world.injected)


@pytest.mark.fault(40)
def test_the_same_content_again_is_filed_like_the_first_without_classifying_it(world: World) -> None:
    world.drop("a.jpg", b"<cat>")
    world.live()
    world.drop("b.jpg", b"<cat>")
    seen: list[bytes] = []
    classifier = StubClassifier()
    submit = classifier.submit
    classifier.submit = lambda items: (seen.extend(path for _, path in items), submit(items))[1]  # type: ignore
    world.live(classifier)
    assert seen == []
    assert world.rows("name, outcome, duplicate_of") == [("a.jpg", "cats", None), ("b.jpg", "cats", 1)]
    conserved(world.settings, world.injected)


@pytest.mark.fault(40)
def test_duplicates_in_one_batch_are_classified_once(world: World) -> None:
    for name in "abc":
        world.drop(f"{name}.jpg", b"<dog>")
    world.live()
    rows = world.rows("outcome, duplicate_of")
    assert Counter(outcome for outcome, _ in rows) == {"dogs": 3}
    assert sorted(duplicate is None for _, duplicate in rows) == [False, False, True]
    conserved(world.settings, world.injected)


def test_duplicates_can_be_held(tmp_path: Path) -> None:
    world = World(tmp_path, SETTINGS + "duplicates: hold\n")
    for name in "ab":
        world.drop(f"{name}.jpg", b"<dog>")
    world.live()
    assert {path.split("/")[0] for path in world.sorted()} == {"dogs", "duplicates"}
    conserved(world.settings, world.injected)
    world.close()


def test_a_failure_that_is_tried_again_is_classified_as_if_it_had_just_come(world: World) -> None:
    world.drop("x.jpg", b"<truncated>")
    world.live()
    assert world.rows("id, outcome") == [(1, "failed")]
    engine = open_database(world.settings.database_url, "write")
    [change] = retry(engine, world.settings, "ann", failed_paths(engine, "truncated"))
    engine.dispose()
    assert change.problem is None
    assert world.rows() == []
    world.live()
    assert world.rows("id, outcome, reason") == [(2, "failed", "truncated")]
    conserved(world.settings, world.injected)


def test_a_duplicate_of_a_corrected_photo_goes_to_the_corrected_folder(world: World) -> None:
    world.drop("a.jpg", b"<unsure>")
    world.live()
    engine = open_database(world.settings.database_url)
    [change] = correct(engine, world.settings, [b"a.jpg"], "dog", "ann", folders=BUNDLE.folders)
    engine.dispose()
    assert change.problem is None
    world.drop("b.jpg", b"<unsure>")
    world.live()
    assert world.rows("name, outcome, reason, duplicate_of")[1] == ("b.jpg", "dogs", None, 1)
    conserved(world.settings, world.injected)


def test_what_lies_in_a_shelters_lost_and_found_is_filed(world: World) -> None:
    world.drop("Lost+Found/rex.jpg", b"1<dog>")
    world.drop("lost+found/tom.jpg", b"2<cat>")
    world.live()
    assert world.sorted() == {"dogs/Lost+Found/rex.jpg", "cats/lost+found/tom.jpg"}
