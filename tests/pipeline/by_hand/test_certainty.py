"""A missing file counts as deleted only where nothing speaks for a disk, a rename or a program at work."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from db.ledger.ledger import Ledger
from db.queries import places
from pipeline.by_hand import folder_guard, memory
from pipeline.by_hand.follower import Follower
from pipeline.by_hand.recorder import Addition, Proposal
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.doctor.repair import repair
from pipeline.watch import scanner
from pipeline.watch.scanner import snapshot
from tests.pipeline.by_hand.conftest import Followed, picture, remove_tree
from tests.support.installation import FOLDERS


def states(pawsort: Followed) -> set[str]:
    return {state for (state,) in pawsort.rows("state")}


def some(pawsort: Followed, count: int = 9, folder: str = "cats") -> list[int]:
    return [pawsort.file(b"%d.jpg" % n, f"{folder} {n}".encode(), folder) for n in range(count)]


def test_a_class_folder_that_is_gone_is_not_all_deleted(
    pawsort: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    some(pawsort)
    remove_tree(pawsort.settings.sorted / "cats")
    for _ in range(3):
        follower = pawsort.follow()
    assert states(pawsort) == {"filed"}
    assert "9 files are missing, and so is the folder" in follower.notes[0]
    assert caplog.text.count("9 files are missing") == 1


def test_a_class_folder_that_is_empty_at_once_is_not_all_deleted(pawsort: Followed) -> None:
    some(pawsort)
    some(pawsort, folder="dogs")
    os.rename(pawsort.settings.sorted / "cats", pawsort.folder / "elsewhere")
    (pawsort.settings.sorted / "cats").mkdir()
    pawsort.file(b"newer.jpg", b"newer")
    pawsort.follow()
    assert states(pawsort) == {"filed"}
    pawsort.at("cats/emptied/x")
    pawsort.follow()
    assert pawsort.rows("count(*)", "state = 'removed'") == [(9,)]
    assert pawsort.found() == []


def test_a_handful_of_photos_may_be_all_that_was_deleted(pawsort: Followed) -> None:
    some(pawsort, folder_guard.HANDFUL)
    for path in (pawsort.settings.sorted / "cats").iterdir():
        path.unlink()
    pawsort.follow()
    assert states(pawsort) == {"removed"}


def test_many_photos_are_deleted_where_others_of_their_age_are_left(pawsort: Followed) -> None:
    some(pawsort, 20)
    for n in range(1, 20):
        os.unlink(pawsort.at(f"cats/{n}.jpg"))
    pawsort.follow()
    assert pawsort.rows("count(*)", "state = 'removed'") == [(19,)]


def test_a_folder_on_another_device_than_at_the_start_is_not_all_deleted(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(pawsort, 2)
    pawsort.follow()
    real = folder_guard._id
    cats = pawsort.at("cats/x")[:-2]
    monkeypatch.setattr(
        folder_guard, "_id", lambda path: (1, 1) if path == cats and real(path) else real(path)
    )
    os.unlink(pawsort.at("cats/1.jpg"))
    assert "the disk is another one" in pawsort.follow().notes[0]
    assert states(pawsort) == {"filed"}


@pytest.fixture
def album(pawsort: Followed) -> Iterator[Path]:
    """A disk that is mounted below the folder of a class, with two photos."""
    some(pawsort, 9)
    album = pawsort.settings.sorted / "cats" / "album"
    album.mkdir(parents=True)
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", album], check=False).returncode:
        pytest.skip("no right to mount a disk")
    for n in range(2):
        pawsort.put(f"cats/album/{n}.png")
    pawsort.follow()
    yield album
    subprocess.run(["umount", "-l", album], check=False, capture_output=True)


@pytest.mark.parametrize("afresh", [False, True])
def test_a_disk_that_is_unmounted_below_a_folder_takes_no_photo_along(
    pawsort: Followed, album: Path, afresh: bool
) -> None:
    subprocess.run(["umount", "-l", album], check=True)
    os.unlink(pawsort.at("cats/1.jpg"))
    assert f"no disk is mounted at {album}" in pawsort.follow(afresh=afresh).notes[0]
    assert states(pawsort) == {"filed"}
    (pawsort.settings.sorted / "cats" / "emptied").mkdir()
    assert pawsort.follow().notes == ()
    assert pawsort.rows("count(*)", "state = 'removed'") == [(3,)]


def test_sorted_that_is_another_folder_is_left_alone(pawsort: Followed) -> None:
    some(pawsort, 2)
    pawsort.follow()
    os.rename(pawsort.settings.sorted, pawsort.folder / "unmounted")
    (pawsort.settings.sorted / "cats").mkdir(parents=True)
    for _ in range(3):
        pawsort.clock += 100
        assert pawsort.follower
        for _ in range(10):
            pawsort.follower.advance(busy=False)
    assert states(pawsort) == {"filed"}
    assert "another folder than at the start" in pawsort.follower.notes[0]
    remove_tree(pawsort.settings.sorted)
    os.rename(pawsort.folder / "unmounted", pawsort.settings.sorted)
    assert pawsort.follow().notes == ()


@pytest.mark.parametrize("afresh", [False, True], ids=["at-work", "restarted"])
def test_a_renamed_class_folder_is_left_to_doctor(pawsort: Followed, afresh: bool) -> None:
    ids = some(pawsort, 3)
    pawsort.follow()
    pawsort.move("cats", "katzen")
    (pawsort.settings.sorted / "cats").mkdir()  # as the worker does at its start
    pawsort.follow(afresh=afresh)
    pawsort.follow()
    assert [pawsort.state(id)[:3] for id in ids] == [("filed", "cats", None)] * 3
    assert pawsort.moves() == []
    list(repair(pawsort.engine, pawsort.settings, ["cats", "dogs"]))
    pawsort.move("katzen/1.jpg", "katzen/one.jpg")
    pawsort.follow()
    assert [pawsort.state(id)[3] for id in ids][1] == b"sorted/katzen/one.jpg"
    assert {pawsort.state(id)[1] for id in ids} == {"cats"}


def test_a_photo_moved_out_of_a_renamed_class_folder_is_corrected(pawsort: Followed) -> None:
    ids = some(pawsort, 3)
    pawsort.follow()
    pawsort.move("cats", "katzen")
    pawsort.move("katzen/1.jpg", "dogs/1.jpg")
    pawsort.follow()
    assert pawsort.state(ids[1]) == ("filed", "dogs", "dog", b"sorted/dogs/1.jpg")
    assert pawsort.state(ids[0])[0] == "filed"


def test_rows_of_another_sorted_are_left_to_doctor(pawsort: Followed, tmp_path: Path) -> None:
    some(pawsort, 2)
    elsewhere = Followed(pawsort.folder, pawsort.config.read_text() + "sorted: moved\n")
    os.rmdir(elsewhere.settings.sorted)
    os.rename(pawsort.settings.sorted, elsewhere.settings.sorted)
    elsewhere.put("cats/new.png")
    assert "2 photos are recorded elsewhere" in elsewhere.follow().notes[0]
    assert elsewhere.rows("count(*)") == [(2,)]
    elsewhere.close()


def test_all_photos_dragged_to_a_new_folder_are_corrected(pawsort: Followed) -> None:
    """A new class: the folder that was emptied is the same one as before."""
    ids = some(pawsort, 60, "uncertain")
    pawsort.follow()
    for n in range(60):
        pawsort.move(f"uncertain/{n}.jpg", f"rabbits/{n}.jpg")
    pawsort.follow()
    assert {pawsort.state(id)[1:3] for id in ids} == {("rabbits", "rabbits")}


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
    for _ in range(3000):
        pawsort.clock += 0.1
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


# --- a database that is lost, or older than the folders


def test_photos_of_a_lost_database_are_recorded_without_a_label(pawsort: Followed) -> None:
    """Pawsort may have put them there: its folders say nothing of them; a folder of people does."""
    pawsort.file(b"a.png", picture("a"), "cats")
    pawsort.put("rabbits/b.png")
    pawsort.close()
    for path in (pawsort.settings.state / "sorted_folders.json", *pawsort.settings.state.glob("pawsort.db*")):
        path.unlink()
    fresh = Followed(pawsort.folder, pawsort.config.read_text())
    fresh.follow()
    assert sorted(fresh.rows("outcome, corrected_to")) == [("cats", None), ("rabbits", "rabbits")]
    assert fresh.found() == []
    fresh.put("cats/c.png")
    fresh.follow()
    assert fresh.rows("corrected_to", "name = 'c.png'") == [("cat",)]
    fresh.close()


def test_photos_filed_since_a_backup_of_the_database_are_recorded_without_a_label(pawsort: Followed) -> None:
    pawsort.file(b"a.png", picture("a"), "cats")
    pawsort.follow()
    database = pawsort.settings.state / "pawsort.db"
    pawsort.engine.dispose()
    backup = database.read_bytes()
    pawsort.file(b"b.png", picture("b"), "cats")
    pawsort.follow()
    pawsort.close()
    database.write_bytes(backup)
    restored = Followed(pawsort.folder, pawsort.config.read_text())
    restored.follow()
    assert restored.rows("name, corrected_to") == [("a.png", None), ("b.png", None)]
    restored.close()


def test_photos_filed_since_a_backup_of_the_state_folder_are_recorded_without_a_label(
    pawsort: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory is as old as the database then."""
    pawsort.file(b"a.png", picture("a"), "cats")
    pawsort.follow()
    pawsort.close()
    backup = pawsort.folder / "backup"
    shutil.copytree(pawsort.settings.state, backup)
    pawsort = Followed(pawsort.folder, pawsort.config.read_text())
    pawsort.file(b"b.png", picture("b"), "cats")
    pawsort.close()
    shutil.rmtree(pawsort.settings.state)
    monkeypatch.setattr(memory, "RESTORED_SECONDS", 0.0)
    shutil.copytree(backup, pawsort.settings.state)
    restored = Followed(pawsort.folder, pawsort.config.read_text())
    restored.follow()
    assert restored.rows("name, corrected_to") == [("a.png", None), ("b.png", None)]
    restored.close()


def test_a_memory_that_cannot_be_read_is_made_anew(
    pawsort: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    (pawsort.settings.state / "sorted_folders.json").write_bytes(b"{")
    pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.follow(afresh=True)
    assert "is made anew" in caplog.text


# --- files that a killed worker had moved into their folder, and not recorded there yet


class Lost:
    """The files that are gone from the spool."""

    def __init__(self, *ids: int) -> None:
        self.ids = frozenset(ids)

    def keep(self, unfinished: Collection[int]) -> None:
        self.ids &= frozenset(unfinished)


@pytest.fixture
def lost(pawsort: Followed) -> Lost:
    id, spool, destination = pawsort._decide(b"a.jpg", b"1")
    os.rename(spool, destination)
    lost = Lost()
    pawsort.follow(afresh=True, lost=lambda: lost)
    lost.ids = frozenset({id})
    return lost


def test_a_photo_moved_on_before_it_was_recorded_is_followed(pawsort: Followed, lost: Lost) -> None:
    [id] = lost.ids
    pawsort.move("cats/a.jpg", "dogs/a.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    assert pawsort.moves() == [("correct", "cats", "dogs", "dog")]
    assert (len(pawsort.rows("id")), lost.ids) == (1, frozenset())
    assert pawsort.found() == []


def test_a_photo_deleted_before_it_was_recorded_is_removed(pawsort: Followed, lost: Lost) -> None:
    [id] = lost.ids
    os.unlink(pawsort.at("cats/a.jpg"))
    pawsort.follow()
    assert pawsort.state(id)[0] == "removed"
    assert lost.ids == frozenset()


def test_a_photo_edited_before_it_was_recorded_is_filed(pawsort: Followed, lost: Lost) -> None:
    [id] = lost.ids
    pawsort.put("cats/a.jpg", b"cropped")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/a.jpg")
    assert pawsort.found() == []


def test_a_photo_is_not_added_before_the_worker_knows_that_it_left(pawsort: Followed) -> None:
    id, spool, _ = pawsort._decide(b"a.jpg", b"1")
    os.rename(spool, pawsort.at("dogs/a.jpg"))
    pawsort.follow()
    assert len(pawsort.rows("id")) == 1
    pawsort.follow(afresh=True, lost=lambda: Lost(id))
    assert pawsort.state(id)[:2] == ("filed", "dogs")


def test_a_link_to_a_file_that_came_in_again_is_an_addition(pawsort: Followed) -> None:
    """The row that ended then had the same inode; it is not that of the link."""
    data = picture("a")
    id = pawsort.file(b"a.png", data, "cats")
    os.rename(pawsort.at("cats/a.png"), pawsort.folder / "aside")
    pawsort.ledger.end(pawsort.ledger.entries([id]), pawsort.now())
    os.rename(pawsort.folder / "aside", pawsort.at("cats/a.png"))
    pawsort.follow()
    assert pawsort.state(id)[0] == "filed"
    os.unlink(pawsort.at("cats/a.png"))
    other = pawsort.file(b"b.png", data, "cats")
    pawsort.follow()
    ino = os.stat(pawsort.at("cats/b.png")).st_ino
    with sqlite3.connect(pawsort.settings.state / "pawsort.db") as database:
        database.execute(
            "UPDATE files SET state = 'vanished', path = NULL, outcome = NULL, ino = ? WHERE id = ?",
            (str(ino), id),
        )
    os.link(pawsort.at("cats/b.png"), pawsort.at("dogs/link.png"))
    pawsort.follow()
    assert pawsort.state(id)[0] == "vanished"
    assert pawsort.rows("name", f"id NOT IN ({id}, {other})") == [("link.png",)]


def test_an_empty_file_is_not_taken_for_another_empty_one(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"", "failed")
    os.unlink(pawsort.at("failed/a.jpg"))
    pawsort.put("cats/keeps-its-inode", b"x")
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
