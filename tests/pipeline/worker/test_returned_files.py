"""A file that comes back, or was deleted, ends its old row and no other."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest

from db.ledger.ledger import Ledger
from tests.pipeline.worker.repeats import change, come_back, database, deleted, live, undo
from tests.support.crash import Mortal
from tests.support.installation import SMALL, Installation
from tests.support.oracle import conserved


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


BIG = b"<dog>" + bytes(2000)


@pytest.mark.parametrize("name", ["big.jpg", "renamed.jpg"])
def test_a_file_that_was_too_large_to_read_and_comes_back_is_counted_once(
    pawsort: Installation, name: str
) -> None:
    small, large = pawsort.settings.limits, pawsort.settings.limits.model_copy(update={"file_mb": 1.0})
    pawsort.drop("big.jpg", BIG)
    live(pawsort)
    assert pawsort.rows("reason, sha256") == [("too_large", None)]
    change(pawsort, limits=large)
    come_back(pawsort, "failed/big.jpg", name)
    live(pawsort)
    assert pawsort.rows("id, outcome") == [(2, "dogs")]
    change(pawsort, limits=small)
    come_back(pawsort, f"dogs/{name}")
    live(pawsort)
    assert pawsort.rows("id, outcome, reason") == [(3, "failed", "too_large")]
    come_back(pawsort, f"failed/{name}", "third.jpg")
    live(pawsort)
    assert pawsort.rows("id, path") == [(4, str(pawsort.settings.sorted / "failed/third.jpg"))]


def test_a_file_without_a_checksum_is_known_by_size_and_time_on_another_disk(pawsort: Installation) -> None:
    for name in ("a.jpg", "big.jpg", "c.jpg"):
        pawsort.drop(name, BIG + name.encode())
    live(pawsort)
    change(pawsort, limits=pawsort.settings.limits.model_copy(update={"file_mb": 1.0}))
    failed, inbox = pawsort.settings.sorted / "failed", pawsort.settings.inboxes[0]
    (pawsort.settings.sorted.parent / "kept").write_bytes(b"")  # so that no inode is taken again
    shutil.copy2(failed / "big.jpg", inbox / "other.jpg")
    os.unlink(failed / "big.jpg")
    live(pawsort)
    assert pawsort.rows("id, outcome") == [(1, "failed"), (3, "failed"), (4, "dogs")]


def test_another_file_without_a_checksum_ends_no_row(pawsort: Installation) -> None:
    pawsort.drop("big.jpg", BIG)
    pawsort.drop("empty.jpg", b"")
    live(pawsort)
    for name in ("big.jpg", "empty.jpg"):
        pawsort.drop(name, b"" if "empty" in name else BIG + b"another")
    live(pawsort)
    for name in ("big.jpg", "empty.jpg"):
        os.link(pawsort.settings.sorted / "failed" / name, pawsort.settings.inboxes[0] / f"link-{name}")
        pawsort.injected.append((pawsort.settings.sorted / "failed" / name).read_bytes())
    live(pawsort)
    assert len(pawsort.rows("id")) == 6


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
