"""Files that a killed worker had moved into their folder, and not recorded there yet."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection

import pytest

from tests.pipeline.by_hand.conftest import Followed, picture


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


def test_a_photo_at_the_place_of_one_that_was_deleted_before_it_was_recorded_is_followed(
    pawsort: Followed, lost: Lost
) -> None:
    """Each of the two rows waited for the other: for a free place, and for a place without a file."""
    [id] = lost.ids
    other = pawsort.file(b"b.jpg", b"2", "dogs")
    os.unlink(pawsort.at("cats/a.jpg"))
    pawsort.move("dogs/b.jpg", "cats/a.jpg")
    pawsort.follow()
    assert pawsort.state(other)[:2] == ("filed", "cats")
    pawsort.follow()
    assert (pawsort.state(id)[0], lost.ids) == ("removed", frozenset())
    assert pawsort.found() == []


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
