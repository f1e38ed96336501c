"""When a copy takes over an answer that is known: one of the model, or one of a person."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from db.schema.tables import files
from models.bundle.bundle import Bundle
from pipeline.classifier.answer_key import answer_key
from pipeline.settings.sections import DecisionSettings, LimitSettings
from tests.pipeline.worker.repeats import OTHER, change, come_back, correct, database, live, undo
from tests.support.installation import Installation
from tests.support.stub_answers import ADMITTED, BRIGHTNESS, REASONS, SCORES
from tests.support.stub_classifier import BUNDLE

CAT = SCORES[b"<cat>"]


def test_the_brightness_of_a_photo_is_recorded_and_that_of_its_copies_too(pawsort: Installation) -> None:
    pawsort.drop("x.jpg", b"<cat>")
    live(pawsort)
    pawsort.drop("y.jpg", b"<cat>")
    pawsort.drop("z.jpg", b"<truncated>")
    live(pawsort)
    rows = [("x.jpg", BRIGHTNESS), ("y.jpg", BRIGHTNESS), ("z.jpg", None)]
    assert pawsort.rows("name, brightness") == rows


def test_a_name_dates_its_own_photo_and_never_a_copy_of_another_name(pawsort: Installation) -> None:
    pawsort.drop("IMG_20240131_101500.jpg", b"<cat>")
    live(pawsort)
    for name in ("2023-05-05/beach.jpg", "2022-02-02 beach.jpg"):
        pawsort.drop(name, b"<cat>")
    pawsort.drop("2021-01-01.txt", b"<not_an_image>")
    live(pawsort)
    assert sorted(pawsort.rows("name, taken_at, taken_from"), key=lambda row: row[0]) == [
        ("2021-01-01.txt", None, None),
        ("2022-02-02 beach.jpg", "2022-02-02T00:00:00", "name"),
        ("IMG_20240131_101500.jpg", "2024-01-31T10:15:00", "name"),
        ("beach.jpg", None, None),
    ]


def test_a_date_in_a_photo_is_recorded_with_its_source_also_of_a_copy(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated = (*ADMITTED[:4], "2001-01-01T01:01:01+01:00", "exif_original")
    monkeypatch.setattr("tests.support.stub_classifier.ADMITTED", dated)
    pawsort.drop("IMG_20240131_101500.jpg", b"<cat>")
    live(pawsort)
    pawsort.drop("y.jpg", b"<cat>")
    live(pawsort)
    assert pawsort.rows("taken_at, taken_from") == [("2001-01-01T01:01:01+01:00", "exif_original")] * 2


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
    monkeypatch.setattr("pipeline.classifier.answer_key._version", lambda name: "99")
    assert answer_key(pawsort.settings, BUNDLE) != key


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


def test_an_undone_filing_that_comes_in_again_is_judged_anew(pawsort: Installation) -> None:
    pawsort.drop("a.jpg", b"<unsure>")
    live(pawsort)
    undo(pawsort, "uncertain/a.jpg")
    os.rename(pawsort.settings.inboxes[0] / "a.jpg", pawsort.settings.inboxes[0] / "b.jpg")
    change(pawsort, decision=DecisionSettings(min_confidence=0.4))
    live(pawsort)
    assert pawsort.rows("name, outcome, duplicate_of") == [("b.jpg", "cats", None)]
