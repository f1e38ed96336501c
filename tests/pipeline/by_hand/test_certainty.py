"""A missing file counts as deleted only where nothing speaks for a disk or a folder that was renamed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.by_hand import folder_guard
from pipeline.doctor.repair import repair
from tests.pipeline.by_hand.conftest import Followed, remove_tree


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
