"""Results of a run in the ledger, as photos that are noted where they lie."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from db.ledger import backfill
from db.queries import browse, day_figures, listing, overview, review
from pipeline.backfill import parts, run_file
from pipeline.backfill.load import Loaded, Loading, note_all
from pipeline.backfill.parts import Mark
from pipeline.backfill.storage.run_path import RunPath, run_path
from pipeline.errors import PawsortError, SettingsError
from tests.support.backfill_runs import DECIDED, finished_run, stored_run, tree
from tests.support.crash import Mortal
from tests.support.installation import QUICK, Installation
from tests.support.s3_server import Store

pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")

PHOTOS = {
    "a.jpg": b"a<cat>", "b.jpg": b"b<dog>", "c.jpg": b"c<unsure>", "d.jpg": b"d<corrupt>",
    "e.jpg": b"a<cat>", "f/a.jpg": b"f<neither>", "f/g.jpg": b"b<dog>", "h.jpg": b"d<corrupt>",
    "i.jpg": b"i<cat>", "z.jpg": b"a<cat>",
}  # fmt: skip
ALL = "name, outcome, reason, duplicate_of, state"


def loaded(there: Installation, run: RunPath) -> Loaded:
    return note_all(Loading(run, there.settings), there.settings, there.engine, there.engine, now=there.now)


@pytest.fixture
def there(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "here", QUICK)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tree(tmp_path / "archive", PHOTOS)


@pytest.fixture
def run(tmp_path: Path, there: Installation, source: Path) -> Path:
    finished_run(tmp_path / "run", there.settings, source)
    return tmp_path / "run"


def test_each_photo_gets_a_row_and_stays_where_it_is(there: Installation, run: Path, source: Path) -> None:
    done = loaded(there, run)
    assert (done.parts, done.photos, done.before) == (3, 10, 0)
    assert done.outcomes == Counter(cats=4, dogs=2, uncertain=2, failed=2)
    assert [row[:3] + row[4:] for row in there.rows(ALL)] == [
        ("a.jpg", "cats", None, "noted"), ("b.jpg", "dogs", None, "noted"),
        ("c.jpg", "uncertain", "low_confidence", "noted"), ("d.jpg", "failed", "corrupt", "noted"),
        ("e.jpg", "cats", None, "noted"), ("a.jpg", "uncertain", "neither", "noted"),
        ("g.jpg", "dogs", None, "noted"), ("h.jpg", "failed", "corrupt", "noted"),
        ("i.jpg", "cats", None, "noted"), ("z.jpg", "cats", None, "noted"),
    ]  # fmt: skip
    assert {path.name for path in source.rglob("*.jpg")} == {os.path.basename(name) for name in PHOTOS}
    row = listing.result(there.engine, 6)
    assert row is not None
    assert row["path"] == row["source_path"] == f"{source}/f/a.jpg"
    assert (row["inbox"], row["seen_at"], row["decided_at"]) == (str(source), DECIDED, DECIDED)
    assert (row["filed_at"], row["action"], row["width"]) == (None, None, 640)
    assert (row["model"], row["scores"]["neither"], row["bytes"]) == ("stub", 0.998, 10)


def test_a_second_load_adds_nothing(there: Installation, run: Path) -> None:
    loaded(there, run)
    rows = there.rows("*")
    again = loaded(there, run)
    assert (again.parts, again.photos, again.before) == (0, 0, 3)
    assert there.rows("*") == rows


def test_duplicates_are_those_of_a_worker_that_takes_the_photos_in_this_order(
    there: Installation, run: Path, tmp_path: Path
) -> None:
    loaded(there, run)
    worker = Installation(tmp_path / "worker", QUICK)
    for name, content in PHOTOS.items():
        worker.drop(name.replace("/", "-"), content)
        worker.run_worker()
    assert [row[2:] for row in there.rows("id, name, outcome, reason, duplicate_of")] == [
        row[2:] for row in worker.rows("id, name, outcome, reason, duplicate_of")
    ]


def test_held_duplicates_are_those_of_a_worker_too(tmp_path: Path, source: Path) -> None:
    there = Installation(tmp_path / "holding", QUICK + "duplicates: hold\n")
    finished_run(tmp_path / "held", there.settings, source, size=3)
    loaded(there, tmp_path / "held")
    found = {(row[0], row[1]): row[3] for row in there.rows(ALL) if row[3]}
    assert found == {
        ("e.jpg", "duplicates"): 1, ("g.jpg", "duplicates"): 2, ("h.jpg", "failed"): 4,
        ("z.jpg", "duplicates"): 1,
    }  # fmt: skip


def test_a_photo_that_is_filed_already_is_the_original(there: Installation, run: Path) -> None:
    filed = there.file(b"mine.jpg", PHOTOS["b.jpg"], "dogs")
    there.file(b"copy.jpg", PHOTOS["i.jpg"], "duplicates", duplicate_of=filed)
    loaded(there, run)
    found = dict(there.rows("source_path, duplicate_of", "state = 'noted'"))
    named = {os.path.basename(path): original for path, original in found.items()}
    assert (named["b.jpg"], named["g.jpg"], named["i.jpg"]) == (filed, filed, None)


def test_the_same_photos_of_two_runs_are_duplicates(there: Installation, run: Path, source: Path) -> None:
    loaded(there, run)
    finished_run(run.with_name("second"), there.settings, source, size=7)
    loaded(there, run.with_name("second"))
    found = there.rows("id, duplicate_of")
    assert [original for _, original in found[:10]] == [None, None, None, None, 1, None, 2, 4, None, 1]
    assert [original for _, original in found[10:]] == [1, 2, 3, 4, 1, 6, 2, 4, 9, 1]


def test_a_correction_holds_for_the_same_content(there: Installation, run: Path) -> None:
    there.file(b"mine.jpg", PHOTOS["c.jpg"], "uncertain")
    there.correct(b"uncertain/mine.jpg", label="dog")
    loaded(there, run)
    assert there.rows("name, outcome, reason", "name = 'c.jpg'") == [("c.jpg", "dogs", None)]


def test_noted_photos_are_told_apart(there: Installation, run: Path) -> None:
    there.file(b"mine.jpg", b"mine<cat>")
    loaded(there, run)
    engine = there.engine
    assert listing.counts(engine) == {"cats": 1, "noted": 10, "waiting": 0}
    assert review.left(engine) == {}
    assert overview.failures(engine) == []
    assert len(list(listing.results(engine, listing.ResultFilter(outcome="cats")))) == 5
    assert len(list(listing.results(engine, listing.ResultFilter(outcome="noted")))) == 10
    assert len(browse.page(engine, browse.Choice(outcome="failed", reason="corrupt")).entries) == 2
    assert overview.by_day(engine, [(DECIDED, there.now())], ["cats"]) == [{"cats": 1}]
    assert sum(day_figures.arrived(engine, DECIDED, there.now()).values()) == 1


@pytest.fixture(params=["disk", "s3"])
def anyhow(request: pytest.FixtureRequest, there: Installation, source: Path) -> RunPath:
    """The same run with its source on the disk, then both in S3."""
    if request.param == "disk":
        run: Path = request.getfixturevalue("run")
        return run
    store: Store = request.getfixturevalue("store")
    request.getfixturevalue("without_waits")
    stored = run_path(store.address("runs/one"))
    stored_run(stored, there.settings, store, source)
    store.fault = store.each(9, "error")
    return stored


def test_a_load_that_is_killed_at_any_commit_goes_on(
    there: Installation, anyhow: RunPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = anyhow
    whole = Installation(there.folder.with_name("whole"), QUICK)
    loaded(whole, run)
    seen, commit = set[int](), (backfill, "note")
    for at in count():
        one = Installation(there.folder.with_name(f"killed{at}"), QUICK)
        died = Mortal(monkeypatch).dies_at(at, partial(loaded, one, run), commit)
        seen.add(before := len(one.rows("id")))
        assert loaded(one, run).before == [0, 4, 8, 10].index(before)
        assert one.rows(ALL) == whole.rows(ALL)
        if not died:
            break
    assert seen == {0, 4, 8, 10}


def test_a_part_that_another_load_has_done_meanwhile_is_not_done_again(
    there: Installation, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(there, run)
    monkeypatch.setattr(backfill, "loaded", lambda *_: set())
    again = loaded(there, run)
    assert (again.parts, again.photos) == (0, 0)
    assert len(there.rows("id")) == 10


def test_a_run_that_is_not_done_is_refused(there: Installation, run: Path) -> None:
    parts.results_file(run, 1).unlink()
    with pytest.raises(PawsortError, match="1 of 3 parts have no results yet, such as part 1"):
        loaded(there, run)
    assert there.rows() == []


@pytest.mark.parametrize("other", [0, 1])
def test_results_of_other_photos_are_refused(there: Installation, run: Path, other: int) -> None:
    mark, _ = parts.read_mark(run, 1)
    results = parts.read_results(run, 1)
    parts.write_results(run, mark if other else Mark("0" * 64, 1), results[other:])
    with pytest.raises(PawsortError, match="does not have exactly the photos of its list"):
        loaded(there, run)
    assert len(there.rows()) == 4


def test_a_damaged_part_is_named(there: Installation, run: Path) -> None:
    parts.results_file(run, 2).write_bytes(b"PAR1")
    with pytest.raises(PawsortError, match=r"part-00002.*damaged.*backfill check"):
        loaded(there, run)


def test_settings_that_file_otherwise_are_refused(run: Path, tmp_path: Path) -> None:
    other = Installation(tmp_path / "other", QUICK + "filing: {action: copy}\noutcomes: {neither: others}\n")
    with pytest.raises(SettingsError, match="filing: planned move, now copy; neither: planned uncertain"):
        Loading(run, other.settings)


def test_a_folder_without_a_run_is_refused(there: Installation, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=run_file.NAME):
        Loading(tmp_path, there.settings)
