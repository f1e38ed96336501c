"""Companions of originals that stay: they stay beside them, and are no files of their own."""

from __future__ import annotations

import os

import pytest

from db.ledger.ledger import Ledger
from tests.support.installation import Installation
from tests.support.oracle import files_below

GROUP = {
    "trip/IMG_1.JPG": b"1<cat>", "trip/IMG_1.CR2": b"raw", "trip/IMG_1.xmp": b"x", "trip/IMG_1.mov": b"film",
}  # fmt: skip


def test_only_the_photo_is_taken_and_a_later_or_lonely_sidecar_stays_too(pawsort: Installation) -> None:
    for name, data in GROUP.items():
        pawsort.drop(name, data)
    pawsort.run_worker()
    pawsort.drop("trip/IMG_1.JPG.xmp", b"later")
    pawsort.drop("alone.xmp", b"alone")
    worker = pawsort.run_worker()
    assert pawsort.rows("name, outcome, companions") == [("IMG_1.JPG", "cats", None)]
    assert os.listdir(pawsort.settings.sorted / "cats" / "trip") == ["IMG_1.JPG"]
    assert not (pawsort.settings.sorted / "failed").exists() or not files_below(
        pawsort.settings.sorted / "failed"
    )
    there = {os.fsdecode(os.path.relpath(path, pawsort.raw_inbox)) for path in files_below(pawsort.inbox)}
    assert there == {*GROUP, "trip/IMG_1.JPG.xmp", "alone.xmp"}
    assert not worker.in_flight.refused


def test_the_ledger_is_not_asked_for_the_photos_of_sidecars(
    pawsort: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("each sidecar of an archive would be asked about once a minute")

    monkeypatch.setattr(Ledger, "arrived_as", asked)
    pawsort.drop("a.jpg", b"<cat>")
    pawsort.run_worker()
    for name in ("a.xmp", "a.jpg.json", "alone.aae"):
        pawsort.drop(name, b"x")
    pawsort.run_worker()
    assert pawsort.rows("name") == [("a.jpg",)]


def test_a_correction_and_an_undo_leave_the_originals_companions_alone(pawsort: Installation) -> None:
    for name, data in GROUP.items():
        pawsort.drop(name, data)
    pawsort.run_worker()
    assert not pawsort.correct(b"cats/trip/IMG_1.JPG")[0].problem
    for folder in (b"dogs", b"cats"):
        assert not pawsort.undo(files=(folder + b"/trip/IMG_1.JPG",))[0].problem
    assert not files_below(pawsort.settings.sorted)
    there = {os.fsdecode(os.path.relpath(path, pawsort.raw_inbox)) for path in files_below(pawsort.inbox)}
    assert there == {*GROUP}
