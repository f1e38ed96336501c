"""What people do by hand in `sorted` is recorded, each by its rule."""

from __future__ import annotations

import getpass
import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from db.queries.judged import judged
from db.queries.listing import ResultFilter, counts, results
from db.queries.review import left
from tests.pipeline.by_hand.conftest import Followed, picture
from tests.support.oracle import digest


def test_a_photo_dragged_to_another_class_is_corrected_by_its_owner(pawsort: Followed) -> None:
    id = pawsort.file(b"trip/a.jpg", b"1", "dogs")
    pawsort.move("dogs/trip/a.jpg", "cats/a.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "cats", "cat", b"sorted/cats/a.jpg")
    assert pawsort.moves("kind, new_corrected_to, via, by") == [
        ("correct", "cat", "folder", getpass.getuser())
    ]
    assert [(j.label, j.reviewed_by) for j in judged(pawsort.engine)] == [("cat", getpass.getuser())]
    assert pawsort.found() == []


def test_a_photo_dragged_to_a_new_folder_has_its_name_as_label(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.move("uncertain/a.jpg", "rabbits/a.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "rabbits", "rabbits", b"sorted/rabbits/a.jpg")
    assert pawsort.found() == []


def test_a_hidden_folder_is_no_class(pawsort: Followed) -> None:
    """Such as the bin that a desktop makes at the top of a disk."""
    pawsort.put("cats/a.png")
    for folder in (".Trash-1000/files", ".fillers"):
        os.makedirs(pawsort.at(folder))
        pawsort.put(f"{folder}/b.png")
    pawsort.follow()
    assert pawsort.rows("name, corrected_to") == [("a.png", "cat")]


def test_a_photo_dragged_to_uncertain_has_no_label_any_more(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.correct(b"uncertain/a.jpg", label="cat")
    pawsort.move("cats/a.jpg", "uncertain/a.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "uncertain", None, b"sorted/uncertain/a.jpg")
    assert pawsort.moves("kind")[-1] == ("follow",)
    assert pawsort.rows("reviewed_by, reviewed_at") == [(None, None)]


@pytest.mark.parametrize("folder", ["failed", "duplicates"])
def test_a_photo_dragged_to_a_folder_without_a_label_is_followed(pawsort: Followed, folder: str) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.move("cats/a.jpg", f"{folder}/a.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", folder, None, f"sorted/{folder}/a.jpg".encode())
    assert pawsort.moves() == [("follow", "cats", folder, None)]


def test_a_photo_renamed_in_its_folder_keeps_its_label(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.correct(b"uncertain/a.jpg", label="cat")
    pawsort.move("cats/a.jpg", "cats/2026/tom.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "cats", "cat", b"sorted/cats/2026/tom.jpg")
    assert pawsort.moves()[-1] == ("follow", "cats", "cats", "cat")
    assert pawsort.rows("reviewed_by") == [("ann",)]


def test_a_deleted_photo_is_removed_and_out_of_the_counts(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.file(b"b.jpg", b"2", "uncertain")
    os.unlink(pawsort.at("uncertain/a.jpg"))
    pawsort.follow()
    assert pawsort.state(id) == ("removed", None, None, b"sorted/uncertain/a.jpg")
    assert counts(pawsort.engine) == {"uncertain": 1, "waiting": 0}
    [row] = results(pawsort.engine, ResultFilter(outcome="removed"))
    assert (row["id"], row["removed_at"] is None) == (id, False)
    assert list(results(pawsort.engine, ResultFilter(outcome="waiting"))) == []
    assert pawsort.moves() == [("remove", "uncertain", None, None)]
    assert pawsort.found() == []


def test_a_photo_must_be_missing_for_a_time(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    pawsort.follow()
    os.unlink(pawsort.at("cats/a.jpg"))
    assert pawsort.follower
    scans = pawsort.follower.scans
    while pawsort.follower.scans == scans:
        pawsort.clock += 0.01
        pawsort.follower._scan_at = 0.0
        pawsort.follower.advance(busy=False)
    assert pawsort.state(id)[0] == "filed"


@pytest.mark.parametrize("folder", ["cats", "dogs"])
def test_a_photo_that_comes_back_is_filed_again(pawsort: Followed, folder: str, tmp_path: Path) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    os.rename(pawsort.at("cats/a.jpg"), tmp_path / "trash")
    pawsort.follow()
    os.rename(tmp_path / "trash", pawsort.at(f"{folder}/a.jpg"))
    pawsort.follow()
    label = None if folder == "cats" else "dog"
    assert pawsort.state(id) == ("filed", folder, label, f"sorted/{folder}/a.jpg".encode())
    kinds = ["remove", "return", *(["correct"] if label else [])]
    assert [kind for (kind,) in pawsort.moves("kind")] == kinds
    assert pawsort.rows("confidence, removed_at") == [(0.9, None)]
    assert pawsort.found() == []


def test_a_photo_put_in_is_recorded_as_labelled_by_its_folder(pawsort: Followed) -> None:
    pawsort.put("cats/trip/a.png")
    pawsort.put("uncertain/b.png")
    pawsort.follow()
    assert sorted(pawsort.rows("name, outcome, corrected_to, reason")) == [
        ("a.png", "cats", "cat", "imported"),
        ("b.png", "uncertain", None, "imported"),
    ]
    assert pawsort.moves("kind, via, new_corrected_to") == [("correct", "folder", "cat")]
    assert pawsort.found() == []


@pytest.mark.parametrize("content", [b"text", b"", b"\x89PNG\r\n\x1a\n"], ids=["text", "empty", "cut"])
def test_a_file_that_is_no_picture_is_recorded_without_a_label(pawsort: Followed, content: bytes) -> None:
    pawsort.put("cats/a.jpg", content)
    pawsort.follow()
    assert pawsort.rows("outcome, corrected_to, reviewed_by") == [("cats", None, None)]
    assert pawsort.moves() == []
    assert pawsort.found() == []


def test_a_photo_edited_in_place_keeps_its_answer(pawsort: Followed) -> None:
    pawsort.file(b"a.jpg", b"1", "cats")
    before = pawsort.rows("sha256, prediction, scores")
    pawsort.put("cats/a.jpg", b"cropped")
    pawsort.follow()
    after = pawsort.rows("sha256, prediction, scores")
    assert after[0][1:] == before[0][1:]
    assert pawsort.moves("kind, old_sha256")[-1] == ("edit", before[0][0])
    assert pawsort.rows("bytes") == [(7,)]
    assert pawsort.found() == []


@pytest.mark.parametrize("is_replaced", [False, True], ids=["written over", "replaced"])
def test_a_label_ends_with_the_content_that_it_was_given_to(pawsort: Followed, is_replaced: bool) -> None:
    """As when sync software puts another photo in the place of one that was judged."""
    pawsort.file(b"a.png", picture("a"), "uncertain", width=48, height=42, taken_at="2026-11-01T12:00:00")
    pawsort.correct(b"uncertain/a.png", label="neither")
    if is_replaced:
        os.unlink(pawsort.at("uncertain/a.png"))
    other = pawsort.put("uncertain/a.png", picture("another"))
    pawsort.follow()
    assert pawsort.rows("sha256, outcome, corrected_to, reviewed_by, reviewed_at") == [
        (digest(other), "uncertain", None, None, None)
    ]
    assert pawsort.moves("kind, old_corrected_to, new_corrected_to")[-1] == ("edit", "neither", None)
    assert list(judged(pawsort.engine)) == []
    assert sum(left(pawsort.engine).values()) == 1, "it is asked about again"
    assert pawsort.found() == []


@pytest.mark.parametrize(
    ("size", "taken", "label"),
    [
        pytest.param((30, 20), "2026:11:01 12:00:00", "cat", id="tags"),
        pytest.param((20, 30), "2026:11:01 12:00:00", "cat", id="turned"),
        pytest.param((20, 20), "2026:11:01 12:00:00", None, id="cropped"),
        pytest.param((30, 20), "2026:11:01 12:00:01", None, id="another moment"),
        pytest.param((30, 20), None, None, id="no moment"),
    ],
)
def test_a_label_stays_with_a_photo_whose_tags_were_written_or_that_was_turned(
    pawsort: Followed, size: tuple[int, int], taken: str | None, label: str | None
) -> None:
    before = photo((30, 20), "2026:11:01 12:00:00")
    pawsort.file(b"a.jpg", before, "uncertain", width=30, height=20, taken_at="2026-11-01T12:00:00")
    pawsort.correct(b"uncertain/a.jpg", label="cat")
    pawsort.put("cats/a.jpg", photo(size, taken) + b"edited")
    pawsort.follow()
    assert pawsort.moves("kind")[-1] == ("edit",)
    assert pawsort.rows("outcome, corrected_to, reviewed_by") == [("cats", label, label and "ann")]
    assert pawsort.found() == []


def photo(size: tuple[int, int], taken: str | None) -> bytes:
    """Return a JPEG that says when it was taken."""
    exif, out = Image.Exif(), io.BytesIO()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    Image.new("RGB", size).save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_a_photo_replaced_by_its_editor_is_edited(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    pawsort.put("cats/new.tmp", b"cropped")
    pawsort.move("cats/new.tmp", "cats/a.jpg")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/a.jpg")
    assert pawsort.moves("kind") == [("edit",)]


def test_a_photo_moved_and_edited_is_both(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.move("cats/a.jpg", "dogs/a.jpg")
    Path(os.fsdecode(pawsort.at("dogs/a.jpg"))).write_bytes(b"cropped")
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    assert pawsort.moves("kind") == [("correct",), ("edit",)]


def test_a_photo_that_was_only_touched_is_the_same(pawsort: Followed) -> None:
    pawsort.file(b"a.jpg", b"1")
    os.utime(pawsort.at("cats/a.jpg"), ns=(5, 5))
    pawsort.follow()
    assert pawsort.moves() == []
    assert pawsort.ledger.entries([1])[0].mtime_ns == 5


def test_an_answer_to_the_content_before_an_edit_is_not_used_again(pawsort: Followed) -> None:
    pawsort.file(b"a.jpg", b"1", answer_key="key")
    pawsort.put("cats/a.jpg", b"cropped")
    pawsort.follow()
    assert pawsort.ledger.entries([1])[0].answer_key is None


# --- matching


@pytest.mark.parametrize("folder", ["cats", "other"])
def test_a_copy_of_a_filed_photo_is_an_addition_without_a_label(pawsort: Followed, folder: str) -> None:
    """As by `cp -r sorted/dogs sorted/other`: that judges no single photo."""
    contents = {f"{n}.png": picture(str(n)) for n in range(3)}
    for name, data in contents.items():
        pawsort.file(name.encode(), data, "dogs")
    pawsort.correct(b"dogs/0.png", label="dog")
    shutil.copytree(pawsort.at("dogs"), pawsort.at(f"{folder}/copies"))
    pawsort.follow()
    assert sorted(pawsort.rows("name, outcome, corrected_to, reviewed_by", "id > 3")) == [
        (name, folder, None, None) for name in contents
    ]
    assert [(each.id, each.label) for each in judged(pawsort.engine)] == [(1, "dog")]
    pawsort.move(f"{folder}/copies/1.png", "dogs/moved.png")
    pawsort.follow()
    assert pawsort.rows("corrected_to", "path LIKE '%/moved.png'") == [("dog",)], (
        "one that is moved is judged"
    )


def test_a_copy_beside_its_original_has_no_label(pawsort: Followed) -> None:
    data = picture("a")
    pawsort.file(b"a.png", data, "dogs")
    pawsort.put("dogs/a (copy).png", data)
    os.link(pawsort.at("dogs/a.png"), pawsort.at("dogs/2026/a.png"))
    pawsort.follow()
    assert pawsort.rows("outcome, corrected_to, reviewed_by", "id > 1") == [("dogs", None, None)] * 2
    assert pawsort.moves() == []


def test_a_hard_link_is_an_addition(pawsort: Followed) -> None:
    id = pawsort.file(b"a.png", picture("a"), "dogs")
    os.link(pawsort.at("dogs/a.png"), pawsort.at("cats/link.png"))
    pawsort.follow()
    assert pawsort.state(id)[1] == "dogs"
    assert pawsort.rows("name, outcome", f"id != {id}") == [("link.png", "cats")]


def test_two_names_that_are_swapped_are_followed(pawsort: Followed) -> None:
    one, two = pawsort.file(b"a.jpg", b"1", "cats"), pawsort.file(b"b.jpg", b"2", "dogs")
    pawsort.move("cats/a.jpg", "cats/c")
    pawsort.move("dogs/b.jpg", "cats/a.jpg")
    pawsort.move("cats/c", "dogs/b.jpg")
    pawsort.follow()
    assert pawsort.state(one) == ("filed", "dogs", "dog", b"sorted/dogs/b.jpg")
    assert pawsort.state(two) == ("filed", "cats", "cat", b"sorted/cats/a.jpg")
    assert pawsort.found() == []


def test_two_swapped_files_of_one_size_and_time_are_told_apart(pawsort: Followed) -> None:
    one, two = pawsort.file(b"a.jpg", b"1", "cats"), pawsort.file(b"b.jpg", b"2", "cats")
    for name in ("cats/a.jpg", "cats/b.jpg"):
        os.utime(pawsort.at(name), ns=(5, 5))
    pawsort.follow()
    pawsort.move("cats/a.jpg", "cats/c")
    pawsort.move("cats/b.jpg", "cats/a.jpg")
    pawsort.move("cats/c", "cats/b.jpg")
    pawsort.follow()
    assert [pawsort.state(id)[3] for id in (one, two)] == [b"sorted/cats/b.jpg", b"sorted/cats/a.jpg"]
    assert pawsort.found() == []


def test_a_chain_of_renames_is_followed(pawsort: Followed) -> None:
    ids = [pawsort.file(b"%d.jpg" % n, b"%d" % n) for n in range(5)]
    for n in reversed(range(5)):
        pawsort.move(f"cats/{n}.jpg", f"cats/{n + 1}.jpg")
    pawsort.follow()
    assert [pawsort.state(id)[3] for id in ids] == [b"sorted/cats/%d.jpg" % (n + 1) for n in range(5)]
    assert pawsort.found() == []


def test_a_rename_over_another_photo_removes_that(pawsort: Followed) -> None:
    one, two = pawsort.file(b"a.jpg", b"1", "cats"), pawsort.file(b"b.jpg", b"2", "dogs")
    pawsort.move("cats/a.jpg", "dogs/b.jpg")
    pawsort.follow()
    assert pawsort.state(one) == ("filed", "dogs", "dog", b"sorted/dogs/b.jpg")
    assert pawsort.state(two)[0] == "removed"
    assert pawsort.found() == []


def test_a_photo_copied_elsewhere_and_deleted_here_was_moved(pawsort: Followed) -> None:
    """As a move to another disk and back, or by a program that copies: the inode is new."""
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.put("dogs/a.jpg", b"1")
    os.unlink(pawsort.at("cats/a.jpg"))
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    assert len(pawsort.rows("id")) == 1


def test_a_name_in_another_case_is_followed(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    pawsort.move("cats/a.jpg", "cats/A.JPG")
    pawsort.follow()
    assert pawsort.state(id)[3] == b"sorted/cats/A.JPG"


def test_a_name_that_is_not_utf8_is_followed(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    os.rename(pawsort.at("cats/a.jpg"), pawsort.at(b"dogs/\xff.jpg"))
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/\xff.jpg")


def test_a_folder_renamed_within_a_class_is_followed(pawsort: Followed) -> None:
    ids = [pawsort.file(b"trip/%d.jpg" % n, b"%d" % n) for n in range(9)]
    pawsort.move("cats/trip", "cats/holiday")
    pawsort.follow()
    assert [pawsort.state(id)[3] for id in ids] == [b"sorted/cats/holiday/%d.jpg" % n for n in range(9)]


def test_a_file_with_a_temporary_name_is_left_alone(pawsort: Followed) -> None:
    pawsort.put("cats/a.jpg.part")
    pawsort.put("cats/@eaDir/a.jpg")
    pawsort.follow()
    assert pawsort.rows() == []


# --- undo


def test_an_undo_moves_a_dragged_photo_back(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.move("uncertain/a.jpg", "cats/b.jpg")
    pawsort.follow()
    assert [change.problem for change in pawsort.undo(last=1)] == [None]
    assert pawsort.state(id) == ("filed", "uncertain", None, b"sorted/uncertain/a.jpg")
    assert pawsort.sorted() == {"uncertain/a.jpg"}
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "uncertain", None, b"sorted/uncertain/a.jpg")
    assert pawsort.rows("reviewed_by") == [(None,)]


def test_an_undo_renames_a_followed_photo_back(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    pawsort.move("cats/a.jpg", "cats/sub/b.jpg")
    pawsort.follow()
    assert [change.problem for change in pawsort.undo(last=1)] == [None]
    assert pawsort.state(id) == ("filed", "cats", None, b"sorted/cats/a.jpg")
    assert pawsort.sorted() == {"cats/a.jpg"}


def test_an_undo_gives_a_withdrawn_label_back(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "uncertain")
    pawsort.correct(b"uncertain/a.jpg", label="cat")
    pawsort.move("cats/a.jpg", "uncertain/a.jpg")
    pawsort.follow()
    pawsort.undo(last=1)
    assert pawsort.state(id) == ("filed", "cats", "cat", b"sorted/cats/a.jpg")
    assert pawsort.rows("reviewed_by") == [("ann",)]


def test_an_undo_takes_the_label_of_an_added_photo_back(pawsort: Followed) -> None:
    pawsort.put("cats/a.png")
    pawsort.follow()
    pawsort.undo(last=1)
    assert pawsort.rows("outcome, corrected_to, reviewed_by") == [("cats", None, None)]
    assert pawsort.sorted() == {"cats/a.png"}


def test_an_undone_photo_taken_from_the_inbox_is_removed(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1")
    pawsort.undo(last=1)
    pawsort.follow()
    assert pawsort.state(id)[0] == "undone"
    (pawsort.inbox / "a.jpg").unlink()
    pawsort.follow()
    assert pawsort.state(id)[0] == "removed"


def test_an_undone_photo_dragged_into_a_folder_is_filed(pawsort: Followed) -> None:
    id = pawsort.file(b"a.jpg", b"1", "cats")
    pawsort.undo(last=1)
    os.rename(pawsort.inbox / "a.jpg", pawsort.at("dogs/a.jpg"))
    pawsort.follow()
    assert pawsort.state(id) == ("filed", "dogs", "dog", b"sorted/dogs/a.jpg")
    assert pawsort.found() == []
