"""What a worker does with what it finds: the main job."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from db.connection.engine import open_database
from db.queries.overview import failed_paths
from pipeline.corrections.correct_undo_retry import correct, retry
from tests.support.installation import SMALL, Installation
from tests.support.oracle import conserved, files_below
from tests.support.stub_classifier import BUNDLE, StubClassifier


def test_each_file_goes_to_the_folder_of_its_answer(pawsort: Installation) -> None:
    for name in ("cat", "dog", "neither", "unsure", "truncated"):
        pawsort.drop(f"{name}.jpg", f"<{name}>".encode())
    pawsort.run_worker()
    assert pawsort.sorted() == {
        "cats/cat.jpg",
        "dogs/dog.jpg",
        "uncertain/neither.jpg",
        "uncertain/unsure.jpg",
        "failed/truncated.jpg",
    }
    assert set(pawsort.rows()) == {
        ("cat.jpg", "cats", None),
        ("dog.jpg", "dogs", None),
        ("neither.jpg", "uncertain", "neither"),
        ("unsure.jpg", "uncertain", "low_confidence"),
        ("truncated.jpg", "failed", "truncated"),
    }
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(38)
def test_subfolders_are_kept_and_equal_names_numbered(pawsort: Installation) -> None:
    pawsort.drop("a/b/x.jpg", b"1<cat>")
    pawsort.drop("a/b/x.jpg", b"2<cat>", inbox=1)
    pawsort.run_worker()
    assert pawsort.sorted() == {"cats/a/b/x.jpg", "cats/a/b/x (2).jpg"}
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(33, 34, 35, 36)
def test_names_of_any_bytes_are_filed_with_the_same_bytes(pawsort: Installation) -> None:
    names = [
        b"\xff\xfe.jpg",
        b"new\nline.jpg",
        b"back\\slash.jpg",
        b"-rf =+@.jpg",
        b"br[1]*.jpg",
        b"C" * 251 + b".jpg",
    ]
    for name in names:
        pawsort.drop(name, name + b"<dog>")
    pawsort.run_worker()
    assert {os.path.basename(path) for path in files_below(pawsort.settings.sorted)} == set(names)
    conserved(pawsort.settings, pawsort.injected)


def test_a_photo_of_two_classes_is_uncertain_for_that_reason_and_so_is_its_duplicate(
    pawsort: Installation,
) -> None:
    pawsort.drop("a.jpg", b"<both>")
    pawsort.run_worker()
    pawsort.drop("b.jpg", b"<both>")
    pawsort.run_worker()
    assert pawsort.rows("name, outcome, reason, duplicate_of") == [
        ("a.jpg", "uncertain", "both", None),
        ("b.jpg", "uncertain", "both", 1),
    ]


@pytest.mark.fault(40)
def test_the_same_content_again_is_filed_like_the_first_without_classifying_it(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    pawsort.drop("b.jpg", b"<cat>")
    seen: list[bytes] = []
    classifier = StubClassifier()
    submit = classifier.submit
    classifier.submit = lambda items: (seen.extend(path for _, path in items), submit(items))[1]  # type: ignore
    pawsort.run_worker(classifier)
    assert seen == []
    assert pawsort.rows("name, outcome, duplicate_of") == [("a.jpg", "cats", None), ("b.jpg", "cats", 1)]
    conserved(pawsort.settings, pawsort.injected)


@pytest.mark.fault(40)
def test_duplicates_in_one_batch_are_classified_once(pawsort: Installation) -> None:
    for name in "abc":
        pawsort.drop(f"{name}.jpg", b"<dog>")
    pawsort.run_worker()
    rows = pawsort.rows("outcome, duplicate_of")
    assert Counter(outcome for outcome, _ in rows) == {"dogs": 3}
    assert sorted(duplicate is None for _, duplicate in rows) == [False, False, True]
    conserved(pawsort.settings, pawsort.injected)


def test_duplicates_can_be_held(tmp_path: Path) -> None:
    pawsort = Installation(tmp_path, SMALL + "duplicates: hold\n")
    for name in "ab":
        pawsort.drop(f"{name}.jpg", b"<dog>")
    pawsort.run_worker()
    assert {path.split("/")[0] for path in pawsort.sorted()} == {"dogs", "duplicates"}
    conserved(pawsort.settings, pawsort.injected)
    pawsort.close()


def test_a_failure_that_is_tried_again_is_classified_as_if_it_had_just_come(pawsort: Installation) -> None:
    pawsort.drop("x.jpg", b"<truncated>")
    pawsort.run_worker()
    assert pawsort.rows("id, outcome") == [(1, "failed")]
    engine = open_database(pawsort.settings.database_url, "write")
    [change] = retry(engine, pawsort.settings, "ann", failed_paths(engine, "truncated"))
    engine.dispose()
    assert change.problem is None
    assert pawsort.rows() == []
    pawsort.run_worker()
    assert pawsort.rows("id, outcome, reason") == [(2, "failed", "truncated")]
    conserved(pawsort.settings, pawsort.injected)


def test_a_duplicate_of_a_corrected_photo_goes_to_the_corrected_folder(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<unsure>")
    pawsort.run_worker()
    engine = open_database(pawsort.settings.database_url)
    [change] = correct(engine, pawsort.settings, [b"a.jpg"], "dog", "ann", folders=BUNDLE.folders)
    engine.dispose()
    assert change.problem is None
    pawsort.drop("b.jpg", b"<unsure>")
    pawsort.run_worker()
    assert pawsort.rows("name, outcome, reason, duplicate_of")[1] == ("b.jpg", "dogs", None, 1)
    conserved(pawsort.settings, pawsort.injected)


def test_what_lies_in_a_shelters_lost_and_found_is_filed(pawsort: Installation) -> None:
    pawsort.drop("Lost+Found/rex.jpg", b"1<dog>")
    pawsort.drop("lost+found/tom.jpg", b"2<cat>")
    pawsort.run_worker()
    assert pawsort.sorted() == {"dogs/Lost+Found/rex.jpg", "cats/lost+found/tom.jpg"}
