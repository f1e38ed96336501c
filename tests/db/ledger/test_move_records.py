from __future__ import annotations

import datetime as dt

import pytest

from db.ledger.ledger import Entry, Ledger, LedgerError, Move
from tests.db.conftest import NOON, filed, later


def only(ledger: Ledger, id: int) -> Entry:
    [entry] = ledger.entries([id])
    return entry


def correct(ledger: Ledger, id: int, at: dt.datetime) -> Move:
    move = ledger.begin_move(id, "correct", b"/sorted/dogs/a.jpg", "dogs", "dog", "jo", at)
    ledger.finish_move(move.id, at)
    return move


def undo(ledger: Ledger, id: int, at: dt.datetime, of: Move | None = None) -> Move:
    if of is None:
        move = ledger.begin_move(id, "undo", b"/in/a.jpg", None, None, "jo", at)
    else:
        old = of.source, of.old_outcome, of.old_corrected_to
        move = ledger.begin_move(id, "undo", *old, "jo", at, undoes=of.id)
    ledger.finish_move(move.id, at)
    return move


def test_a_correction_changes_the_row_only_when_it_is_done(ledger: Ledger) -> None:
    id = filed(ledger)
    before = only(ledger, id)
    move = ledger.begin_move(id, "correct", b"/sorted/dogs/a.jpg", "dogs", "dog", "jo", later(1))
    assert (move.source, move.old_outcome, move.old_corrected_to) == (before.path, "cats", None)
    assert only(ledger, id) == before
    assert ledger.pending_moves() == [move]
    ledger.finish_move(move.id, later(2))
    after = only(ledger, id)
    assert (after.state, after.path, after.outcome, after.corrected_to) == (
        "filed", b"/sorted/dogs/a.jpg", "dogs", "dog",
    )  # fmt: skip
    assert after.changed_at == later(2)
    assert ledger.pending_moves() == []


def test_an_undo_of_a_correction_brings_back_what_was(ledger: Ledger) -> None:
    id = filed(ledger)
    before = only(ledger, id)
    undo(ledger, id, later(2), of=correct(ledger, id, later(1)))
    after = only(ledger, id)
    assert (after.state, after.path, after.outcome, after.corrected_to) == (
        "filed",
        before.path,
        "cats",
        None,
    )


def test_an_undo_of_a_filing_puts_the_file_back(ledger: Ledger) -> None:
    id = filed(ledger)
    undo(ledger, id, later(1))
    after = only(ledger, id)
    assert (after.state, after.path, after.outcome) == ("undone", b"/in/a.jpg", None)
    assert after.verdict == "cats"


def test_a_file_is_moved_by_one_command_at_a_time(ledger: Ledger) -> None:
    id = filed(ledger)
    move = ledger.begin_move(id, "correct", b"/x", "dogs", "dog", "jo", NOON)
    with pytest.raises(LedgerError, match=f"another command \\(move {move.id}\\)"):
        ledger.begin_move(id, "undo", b"/y", None, None, "mo", NOON)
    ledger.abandon_move(move.id)
    assert ledger.moves(id) == []
    correct(ledger, id, NOON)


def test_a_move_ends_once(ledger: Ledger) -> None:
    move = correct(ledger, filed(ledger), NOON)
    for end in (lambda: ledger.finish_move(move.id, NOON), lambda: ledger.abandon_move(move.id)):
        with pytest.raises(LedgerError, match="not under way"):
            end()
    assert len(ledger.moves(move.file_id)) == 1


def said(ledger: Ledger, count: int = 9) -> list[tuple[str, int]]:
    return [(action.kind, action.entry.id) for action in ledger.last_actions(count)]


def test_actions_are_those_that_still_stand_newest_first(ledger: Ledger) -> None:
    first, second = filed(ledger, b"a", later(1), ino=1), filed(ledger, b"b", later(2), ino=2)
    move = correct(ledger, first, later(3))
    assert said(ledger) == [("correct", first), ("file", second), ("file", first)]
    assert said(ledger, 1) == [("correct", first)]
    assert [action.kind for action in ledger.actions_of([first])] == ["correct", "file"]
    undo(ledger, first, later(4), of=move)
    assert said(ledger) == [("file", second), ("file", first)]
    undo(ledger, second, later(5))
    assert said(ledger) == [("file", first)]


def test_actions_since_a_moment(ledger: Ledger) -> None:
    first = filed(ledger, b"a", later(1), ino=1)
    filed(ledger, b"b", later(2), ino=2)
    correct(ledger, first, later(3))
    found = ledger.actions_since(later(2))
    assert [(action.kind, action.at) for action in found] == [("correct", later(3)), ("file", later(2))]


def test_a_correction_comes_after_the_filing_of_the_same_moment(ledger: Ledger) -> None:
    id = filed(ledger, at=NOON)
    correct(ledger, id, NOON)
    assert said(ledger) == [("correct", id), ("file", id)]
