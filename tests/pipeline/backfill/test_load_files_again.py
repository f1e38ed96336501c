"""Loading a run again: what was refused, what was noted, and what a worker has left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from db.connection.engine import reading
from pipeline.backfill import load_files
from pipeline.backfill.load import Loaded, Loading, note_all
from pipeline.backfill.load_files import file_all
from tests.support.backfill_runs import finished_run, tree
from tests.support.crash import Mortal
from tests.support.installation import QUICK, Installation
from tests.support.oracle import conserved
from tests.support.stub_classifier import BUNDLE

pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")

PHOTOS = {f"{n}.jpg": b"%d<cat>" % n for n in range(10)}


@pytest.fixture(autouse=True)
def bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_files, "load_bundle", lambda settings: BUNDLE)


def installation(folder: Path, action: str = "move") -> Installation:
    there = Installation(folder / "here", QUICK + f"filing: {{action: {action}}}\n")
    finished_run(folder / "run", there.settings, tree(folder / "archive", PHOTOS))
    return there


def loaded(there: Installation) -> Loaded:
    return file_all(Loading(there.folder.with_name("run"), there.settings), there.settings, now=there.now)


def refuse(monkeypatch: pytest.MonkeyPatch, *names: bytes) -> None:
    """Let the source refuse to give these photos away."""
    take = load_files.ClaimStep._take

    def refuses(self: load_files.ClaimStep, file: load_files.InProgressFile) -> None:
        if file.source in names:
            raise PermissionError(errno.EACCES, "Permission denied")
        take(self, file)

    monkeypatch.setattr(load_files.ClaimStep, "_take", refuses)


@pytest.mark.parametrize("action", ["move", "copy", "hardlink", "symlink"])
def test_a_photo_that_was_refused_is_taken_by_a_later_load(
    tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = installation(tmp_path, action)
    with monkeypatch.context() as patch:
        refuse(patch, b"1.jpg", b"8.jpg")
        first = loaded(there)
        again = loaded(there)
    assert (first.photos, set(first.refused)) == (10, {"1.jpg", "8.jpg"})
    assert (again.parts, again.before, again.photos, again.gone) == (2, 1, 2, 0)
    assert set(again.refused) == {"1.jpg", "8.jpg"}
    last = loaded(there)
    assert (last.photos, last.gone, last.refused, dict(last.outcomes)) == (2, 0, {}, {"cats": 2})
    assert loaded(there).before == 3
    assert sorted(there.rows("name, state")) == [(name, "filed") for name in PHOTOS]


def with_one_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    there = installation(folder)
    with monkeypatch.context() as patch:
        refuse(patch, b"1.jpg")
        loaded(there)
    return there


def test_a_refused_photo_that_was_deleted_since_is_no_disk_that_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = with_one_refused(tmp_path, monkeypatch)
    (tmp_path / "archive" / "1.jpg").unlink()
    done = loaded(there)
    assert (done.photos, done.gone, done.before) == (0, 1, 2)


def test_a_photo_that_was_put_back_since_is_not_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = with_one_refused(tmp_path, monkeypatch)
    assert [change.problem for change in there.undo(files=(b"cats/2.jpg",))] == [None]
    assert loaded(there).photos == 1
    assert (tmp_path / "archive" / "2.jpg").exists()


def test_a_photo_in_a_folder_that_became_a_circle_of_links_is_named(tmp_path: Path) -> None:
    there = Installation(tmp_path / "here", QUICK)
    source = tree(tmp_path / "archive", {"a/1.jpg": b"1<cat>", "b/2.jpg": b"2<dog>"})
    finished_run(tmp_path / "run", there.settings, source)
    (source / "a").rename(tmp_path / "away")
    (source / "a").symlink_to("a")
    done = loaded(there)
    assert (set(done.refused), dict(done.outcomes)) == ({"a/1.jpg"}, {"dogs": 1})
    (source / "a").unlink()
    (tmp_path / "away").rename(source / "a")
    assert dict(loaded(there).outcomes) == {"cats": 1}


def test_a_photo_that_the_worker_has_promised_a_place_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(200):
        there = installation(tmp_path / str(at))
        there.drop("1.jpg", PHOTOS["1.jpg"])
        died = Mortal(monkeypatch).dies_at(at, there.run_worker)
        loaded(there)
        there.run_worker()
        source = tmp_path / str(at) / "archive"
        settings = there.settings.model_copy(update={"inboxes": (there.inbox, source), "inbox_actions": ()})
        conserved(settings, [*PHOTOS.values(), PHOTOS["1.jpg"]])
        paths = there.rows("path", "state = 'filed'")
        assert len(paths) == len(set(paths)) == 11
        if not died:
            break
    assert not died


def test_a_noted_run_is_filed_later(tmp_path: Path) -> None:
    there = installation(tmp_path)
    loading = Loading(tmp_path / "run", there.settings)
    note_all(loading, there.settings, there.engine, there.engine)
    there.close()
    done = loaded(there)
    assert (done.photos, dict(done.outcomes)) == (10, {"cats": 10})
    with reading(there.engine) as connection:
        states = connection.execute(text("SELECT state, path IS NULL, duplicate_of FROM files")).all()
    assert sorted(states) == [("filed", 0, None)] * 10 + [("vanished", 1, None)] * 10
    assert os.listdir(tmp_path / "archive") == []
