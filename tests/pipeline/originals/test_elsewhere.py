"""Doctor, hands in `sorted`, export, thumbnails and learning with photos that were copied or linked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from db.queries import judged, overview
from db.queries.listing import ResultFilter, result
from pipeline.by_hand.follower import Follower
from pipeline.doctor.check import examine
from pipeline.export import export as exports
from pipeline.web.downloads.originals import below, content_of
from tests.support.installation import FOLDERS, Installation
from tests.support.originals import state_of

Install = Callable[[str], Installation]


@pytest.fixture
def full(pawsort: Installation) -> Installation:
    """An installation with two filed photos."""
    pawsort.settings.reports.mkdir(exist_ok=True)
    for name, data in (("a/x.jpg", b"1<cat>"), ("y.jpg", b"2<cat>")):
        pawsort.drop(name, data)
    pawsort.run_worker()
    return pawsort


def follow(pawsort: Installation, scans: int = 2) -> None:
    clock = 0.0
    follower = Follower(pawsort.engine, pawsort.settings, FOLDERS, clock=lambda: clock)
    follower.start()
    for _ in range(3000):
        follower.advance(busy=False)
        clock += 0.05
        if follower.scans >= scans and follower.idle:
            break
    follower.stop()
    assert follower.idle, follower.notes


def found(pawsort: Installation) -> list[tuple[str, str]]:
    return [(p.kind, str(p)) for p in examine(pawsort.engine, pawsort.settings, hashes=True)]


def test_doctor_finds_nothing_where_all_agrees(full: Installation) -> None:
    assert found(full) == []
    full.undo(files=(b"cats/y.jpg",))
    assert found(full) == []


def test_doctor_names_a_link_whose_original_is_gone_and_one_that_names_another(install: Install) -> None:
    pawsort = install("symlink")
    pawsort.settings.reports.mkdir(exist_ok=True)
    for name in ("x.jpg", "y.jpg"):
        pawsort.drop(name, name.encode() + b"<cat>")
    pawsort.run_worker()
    (pawsort.inbox / "x.jpg").unlink()
    other = pawsort.settings.sorted / "cats/y.jpg"
    other.unlink()
    other.symlink_to("/etc/passwd")
    (missing, first), (changed, second) = found(pawsort)
    assert (missing, changed) == ("missing", "changed")
    assert "which is gone" in first and "is not the link to its original" in second


def test_a_photo_that_a_person_moves_to_another_folder_is_followed(full: Installation) -> None:
    before = state_of(full.inbox)
    cats, dogs = full.settings.sorted / "cats", full.settings.sorted / "dogs"
    dogs.mkdir(exist_ok=True)
    (cats / "a/x.jpg").rename(dogs / "renamed.jpg")
    follow(full)
    [row] = full.rows("path, outcome, corrected_to", "name = 'x.jpg'")
    assert row == (str(dogs / "renamed.jpg"), "dogs", "dog")
    assert len(full.rows("id")) == 2
    assert found(full) == []
    assert state_of(full.inbox) == before


def test_a_photo_that_a_person_deletes_is_removed_and_stays_so(full: Installation) -> None:
    before = state_of(full.inbox)
    (full.settings.sorted / "cats/a/x.jpg").unlink()
    follow(full, scans=4)
    assert full.rows("name, state") == [("x.jpg", "removed"), ("y.jpg", "filed")]
    full.run_worker()
    assert len(full.rows("id")) == 2
    assert state_of(full.inbox) == before


def test_a_link_that_a_person_made_is_no_photo(install: Install) -> None:
    pawsort = install("symlink")
    pawsort.drop("x.jpg", b"<cat>")
    pawsort.run_worker()
    extra = pawsort.inbox / "mine.txt"
    extra.write_text("mine")
    (pawsort.settings.sorted / "cats/mine.jpg").symlink_to(extra)
    (pawsort.settings.sorted / "cats/passwd.jpg").symlink_to("/etc/passwd")
    follow(pawsort)
    assert pawsort.rows("name") == [("x.jpg",)]


def test_export_copies_the_content(full: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    out, bundle = full.folder / "out", type("Bundle", (), {"folders": FOLDERS})
    monkeypatch.setattr(exports, "load_bundle", lambda _: bundle)
    done = list(exports.export(full.engine, full.settings, out, ResultFilter(), exports.Way()))
    assert [each.problem for each in done] == [None, None]
    copies = sorted(out.glob("cat/**/*.jpg"))
    assert [(path.read_bytes(), path.is_symlink()) for path in copies] == [
        (b"1<cat>", False), (b"2<cat>", False),
    ]  # fmt: skip


def test_a_thumbnail_is_drawn_of_the_original_below_its_inbox(install: Install) -> None:
    pawsort = install("symlink")
    pawsort.drop("a/x.jpg", b"<cat>")
    pawsort.run_worker()
    row = result(pawsort.engine, 1)
    assert row is not None
    assert below(pawsort.settings, content_of(row)) == (pawsort.inbox, b"a/x.jpg")
    link = pawsort.settings.sorted / "cats/a/x.jpg"
    link.unlink()
    link.symlink_to("/etc/passwd")
    assert below(pawsort.settings, content_of(row)) == (pawsort.settings.sorted, b"cats/a/x.jpg")


def test_learning_reads_the_originals_of_links(full: Installation) -> None:
    full.correct(b"cats/y.jpg")
    paths = [*overview.newest_paths(full.engine, 5), *(row.path for row in judged.filed(full.engine, 5))]
    paths += [row.path for row in judged.judged(full.engine)]
    assert len(paths) == 4
    assert not any(os.path.islink(path) for path in paths)
    assert {Path(os.fsdecode(path)).read_bytes() for path in paths} == {b"1<cat>", b"2<cat>"}
