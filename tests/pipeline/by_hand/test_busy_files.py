"""Files that a command, the worker or another program is busy with are left alone, and taken up later."""

from __future__ import annotations

import os
import sqlite3

import pytest

from db.ledger.ledger import Ledger
from db.queries import places
from pipeline.by_hand import folder_guard
from pipeline.by_hand.follower import Follower
from pipeline.by_hand.recorder import Addition, Proposal
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.watch import scanner
from pipeline.watch.scanner import snapshot
from tests.pipeline.by_hand.conftest import Followed, picture
from tests.support.installation import FOLDERS


def some(pawsort: Followed, count: int = 9, folder: str = "cats") -> list[int]:
    return [pawsort.file(b"%d.jpg" % n, f"{folder} {n}".encode(), folder) for n in range(count)]


def test_nothing_is_recorded_while_a_command_makes_moves(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.follow()
    pawsort.move("cats/a.jpg", "dogs/a.jpg")
    with moves_lock(pawsort.settings), pytest.raises(AssertionError, match="not idle"):
        pawsort.follow()
    assert pawsort.state(id)[1] == "cats"
    pawsort.follow()
    assert pawsort.state(id)[1] == "dogs"


def test_a_file_that_a_command_is_moving_is_left_to_it(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    move = pawsort.ledger.begin_move(
        id, "correct", pawsort.at("dogs/a.jpg"), "dogs", "dog", "ann", pawsort.now()
    )
    pawsort.move("cats/a.jpg", "dogs/a.jpg")
    pawsort.follow()
    assert pawsort.moves("via, done_at") == [(None, None)]
    pawsort.ledger.finish_move(move.id, pawsort.now())
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    assert len(pawsort.moves()) == 1


def test_a_file_that_the_worker_has_not_recorded_yet_is_not_added(pawsort: Followed) -> None:
    id, spool, destination = pawsort._decide(b"a.jpg")
    os.rename(spool, destination)
    pawsort.follow()
    assert len(pawsort.rows("id")) == 1
    pawsort.ledger.file([id], pawsort.now())
    pawsort.follow()
    assert pawsort.state(id)[0] == "filed"
    assert pawsort.moves() == []


def test_a_file_that_came_in_again_is_not_removed(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    os.rename(pawsort.at("cats/a.jpg"), pawsort.inbox / "a.jpg")
    again, _ = pawsort._claim(b"b.jpg", b"1")
    pawsort.ledger.begin_decoding(
        [(again, pawsort.ledger.entries([id])[0].sha256 or "")], True, pawsort.now()
    )
    pawsort.follow()
    assert pawsort.state(id)[0] == "filed"


def test_a_missing_photo_may_wait_in_an_inbox_while_the_worker_is_busy(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    os.unlink(pawsort.at("cats/a.jpg"))
    assert pawsort.follower
    for _ in range(600):
        pawsort.clock += 0.5
        pawsort.follower.advance(busy=True)
    assert pawsort.state(id)[0] == "filed"
    pawsort.follow()
    assert pawsort.state(id)[0] == "removed"


def test_a_photo_whose_place_another_took_meanwhile_is_found_again(pawsort: Followed) -> None:
    """The worker files a photo at the path from which one was dragged, and ends its row."""
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.move("cats/a.jpg", "dogs/a.jpg")
    other = pawsort.file(b"a.jpg", b"2", "cats")
    assert pawsort.state(id)[0] == "vanished"
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    assert pawsort.state(other)[3] == b"sorted/cats/a.jpg"
    assert pawsort.found() == []


def test_a_file_that_is_being_written_is_not_added(pawsort: Followed) -> None:
    data = picture("a")
    with open(pawsort.at("cats/a.png"), "wb") as file:
        file.write(data[:20])
        file.flush()
        pawsort.follow()
        assert pawsort.rows() == []
        file.write(data[20:])
    pawsort.follow()
    assert pawsort.rows("corrected_to, bytes") == [("cat", len(data))]


def test_a_file_must_be_unchanged_for_the_settle_time(pawsort: Followed) -> None:
    slow = Followed(
        pawsort.folder, pawsort.config.read_text().replace("settle_seconds: 0", "settle_seconds: 2")
    )
    slow.put("cats/a.png")
    follower = Follower(slow.engine, slow.settings, FOLDERS, clock=lambda: slow.clock)
    follower.start()
    for _ in range(20):
        follower.advance(busy=False)
    slow.put("cats/a.png", b"longer now")
    slow.clock += 2.1
    for _ in range(20):
        follower.advance(busy=False)
    assert slow.rows() == []
    follower.stop()
    slow.close()


def test_an_unreadable_file_may_be_the_missing_one(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    os.unlink(pawsort.at("cats/a.jpg"))
    pawsort.put("dogs/b.jpg", b"2")
    real = os.open
    monkeypatch.setattr(
        "pipeline.by_hand.content.open_regular",
        lambda path: (
            (_ for _ in ()).throw(PermissionError(13, "denied")) if path.endswith(b"b.jpg") else real
        ),
    )
    pawsort.follow()
    pawsort.follow()
    assert pawsort.state(id)[0] == "filed"


def test_a_file_beside_the_folders_may_be_the_missing_one(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    os.rename(pawsort.at("cats/a.jpg"), pawsort.settings.sorted / "a.jpg")
    pawsort.follow()
    pawsort.follow()
    assert pawsort.state(id)[0] == "filed"


def test_a_restart_between_two_batches_goes_on(pawsort: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.by_hand.recorder.BATCH", 2)
    ids = some(pawsort, 5)
    for n in range(5):
        pawsort.move(f"cats/{n}.jpg", f"dogs/{n}.jpg")
    pawsort.follow()
    assert {pawsort.state(id)[1] for id in ids} == {"dogs"}


def test_a_correction_of_a_deleted_photo_counts_for_its_copies(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.correct(b"uncertain/a.jpg", label="dog")
    os.unlink(pawsort.at("dogs/a.jpg"))
    pawsort.follow()
    [entry] = (
        Ledger(pawsort.engine, b"").same_content({pawsort.ledger.entries([id])[0].sha256 or "": [1]}).values()
    )
    assert [row.corrected_to for row in entry] == ["dog"]


def test_an_empty_file_is_not_taken_for_another_empty_one(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"", "failed")
    with open(pawsort.at("failed/a.jpg"), "rb"):  # or else the new file may get its inode
        os.unlink(pawsort.at("failed/a.jpg"))
        pawsort.put("dogs/b.jpg", b"")
        pawsort.follow()
    assert pawsort.state(id)[0] == "removed"
    assert pawsort.rows("outcome", "name = 'b.jpg'") == [("dogs",)]


def test_inodes_of_a_share_do_not_tell_files_apart(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may change at each mount, and all photos would be read again at each scan."""
    pawsort.file(b"a.jpg", b"1", "cats")
    monkeypatch.setattr(folder_guard, "remote_kind", lambda _: "fuse.sshfs")
    with sqlite3.connect(pawsort.settings.state / "pawsort.db") as database:
        database.execute("UPDATE files SET ino = '1'")
    pawsort.follow(afresh=True)
    assert pawsort.ledger.entries([1])[0].ino == 1


def test_a_file_that_changes_at_the_last_moment_is_not_recorded(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.move("cats/a.jpg", "dogs/a.jpg")
    [place] = places.page(pawsort.engine, "filed", 0, 1)
    path = pawsort.at("dogs/a.jpg")
    seen = snapshot(path, os.lstat(path))
    pawsort.put("dogs/a.jpg", b"changed")
    assert pawsort.follower
    list(pawsort.follower._recorder.moves([Proposal(place, seen)]))
    list(pawsort.follower._recorder.additions([Addition(seen, "f" * 64, True)]))
    assert pawsort.state(id)[1] == "cats"
    assert len(pawsort.rows("id")) == 1


def test_a_folder_that_cannot_be_listed_may_have_the_missing_file(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    os.unlink(pawsort.at("cats/a.jpg"))
    opened = scanner.open_folder

    def refuse(inbox: bytes, folder: bytes) -> int:
        if folder == b"dogs":
            raise PermissionError(13, "Permission denied", folder)
        return opened(inbox, folder)

    with monkeypatch.context() as patch:
        patch.setattr(scanner, "open_folder", refuse)
        patch.setattr(scanner, "open_below", lambda fd, _: (_ for _ in ()).throw(PermissionError(13, "no")))
        pawsort.follow()
        pawsort.follow()
    assert pawsort.state(id)[0] == "filed"
    pawsort.follow()
    assert pawsort.state(id)[0] == "removed"
