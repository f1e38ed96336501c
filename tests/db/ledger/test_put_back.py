"""The ledger knows a stray file in the spool, and a file that an undo put back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from db.connection.engine import reading
from db.ledger.ledger import Ledger, SettledFile
from tests.db.conftest import NOON, SPOOL, claim, filed, later
from tests.db.ledger.entries import in_state, only

# --- adoption ---------------------------------------------------------------------------------------


def test_a_stray_gets_a_row_with_its_own_name_in_the_spool(ledger: Ledger) -> None:
    ledger.adopt(b"17-0123abcd", later(1))
    [entry] = ledger.unfinished()
    assert (entry.state, entry.spool_name, entry.path) == ("claimed", "17-0123abcd", SPOOL + b"/17-0123abcd")
    assert (entry.inbox, entry.source, entry.seen_at) == ("/state/spool", b"17-0123abcd", later(1))
    ledger.reclaim(entry.id, 10, 20, NOON)


def test_a_stray_that_was_given_up_takes_its_row_up_again(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim(b"a.jpg")], NOON)
    ledger.vanish([ticket.id], NOON)
    ledger.adopt(ticket.spool_name.encode(), later(1))
    [entry] = ledger.unfinished()
    assert (entry.id, entry.source, entry.state) == (ticket.id, b"a.jpg", "claimed")
    assert entry.path == SPOOL + b"/" + ticket.spool_name.encode()


# --- what an undo put back ----------------------------------------------------------------------------


def test_an_undone_file_is_known_by_place_and_identity(ledger: Ledger) -> None:
    id = filed(ledger, b"new/a.jpg")
    move = ledger.begin_move(id, "undo", b"/in/new/a (2).jpg", None, None, "me", NOON)
    ledger.finish_move(move.id, NOON, identity=(9, 8, 1000, 5))
    path = b"/in/new/a (2).jpg"
    assert ledger.put_back({path: (9, 8, 1000, 5)}) == {path}
    assert ledger.put_back({path: (9, 8, 1000, 6)}) == set(), "it was edited since"
    assert ledger.put_back({b"/in/other.jpg": (9, 8, 1000, 5)}) == set(), "it was renamed since"
    assert ledger.put_back({}) == set()


def test_an_undone_file_is_known_after_its_disk_was_mounted_again(ledger: Ledger) -> None:
    id = filed(ledger, b"a.jpg")
    move = ledger.begin_move(id, "undo", b"/in/a.jpg", None, None, "me", NOON)
    ledger.finish_move(move.id, NOON, identity=(9, 8, 1000, 5))
    assert ledger.put_back({b"/in/a.jpg": (10, 8, 1000, 5)}) == {b"/in/a.jpg"}, "another number of the disk"
    assert ledger.put_back({b"/in/a.jpg": (9, 99, 1000, 5)}) == {b"/in/a.jpg"}, "exFAT gives new inodes"
    assert ledger.put_back({b"/in/a.jpg": (9, 8, 1001, 5)}) == set(), "another size"
    assert ledger.put_back({b"/in/a.jpg": (9, 8, 1000, 6)}) == set(), "another mtime"


def test_another_file_with_the_inode_of_an_undone_one_does_not_end_its_row(ledger: Ledger) -> None:
    id = filed(ledger, b"a.jpg")
    move = ledger.begin_move(id, "undo", b"/in/a.jpg", None, None, "me", NOON)
    ledger.finish_move(move.id, NOON, identity=(7, 1, 1000, 5))
    ledger.claim([replace(claim(b"b.jpg", ino=1), bytes=2000)], later(1))
    assert only(ledger, id).state == "undone"
    assert ledger.put_back({b"/in/a.jpg": (7, 2, 1000, 5)}) == {b"/in/a.jpg"}


@pytest.mark.parametrize(
    ("mtime_ns", "known"), [(1_700_000_000_123_456_700, True), (1_700_000_000_200_000_000, False)]
)
def test_an_undone_file_is_known_after_its_disk_has_rounded_its_time(
    ledger: Ledger, mtime_ns: int, known: bool
) -> None:
    move = ledger.begin_move(filed(ledger, b"a.jpg"), "undo", b"/in/a.jpg", None, None, "me", NOON)
    ledger.finish_move(move.id, NOON, identity=(9, 8, 1000, 1_700_000_000_123_456_789))
    assert ledger.put_back({b"/in/a.jpg": (9, 8, 1000, mtime_ns)}) == ({b"/in/a.jpg"} if known else set())
    moved = replace(claim(b"a.jpg", ino=8), inbox="/new", bytes=1000, mtime_ns=mtime_ns)
    expected = {b"/new/a.jpg": b"/in/a.jpg"} if known else {}
    assert ledger.put_back_elsewhere({b"/new/a.jpg": moved}, ["/new"]) == expected


def test_an_undone_file_that_is_renamed_after_its_disk_was_mounted_again_has_one_row(
    ledger: Ledger, engine: Engine
) -> None:
    move = ledger.begin_move(filed(ledger, b"a.jpg"), "undo", b"/in/a.jpg", None, None, "me", NOON)
    ledger.finish_move(move.id, NOON, identity=(9, 8, 1000, 5))
    again = replace(claim(b"renamed.jpg", ino=8), dev=10, bytes=1000, mtime_ns=5)
    [ticket] = ledger.claim([again], later(1))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT id FROM results")).scalars().all() == [ticket.id]


def test_a_file_that_an_undo_is_putting_back_is_known_by_its_place(ledger: Ledger) -> None:
    move = ledger.begin_move(filed(ledger, b"a.jpg"), "undo", b"/in/a.jpg", None, None, "me", NOON)
    seen = {b"/in/a.jpg": (1, 2, 3, 4), b"/in/b.jpg": (1, 2, 3, 4)}
    assert ledger.put_back(seen) == {b"/in/a.jpg"}
    ledger.abandon_move(move.id)
    assert ledger.put_back(seen) == set()


@pytest.mark.parametrize("again", [claim(b"renamed.jpg", ino=1), claim(b"a.jpg", ino=99)])
def test_an_undone_file_that_arrives_again_has_one_row(
    ledger: Ledger, engine: Engine, again: SettledFile
) -> None:
    in_state(ledger, "undone")
    [ticket] = ledger.claim([again], later(1))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT id FROM results")).scalars().all() == [ticket.id]


def test_another_file_leaves_an_undone_one_alone(ledger: Ledger) -> None:
    id = in_state(ledger, "undone")
    ledger.claim([claim(b"other.jpg", ino=99)], later(1))
    assert only(ledger, id).state == "undone"
