from __future__ import annotations

from sqlalchemy import Engine

from db.ledger.ledger import Ledger
from db.queries import judged, listing
from tests.db.conftest import filed, later


def correct(ledger: Ledger, id: int, label: str, by: str = "ann", second: float = 1) -> int:
    path = b"/sorted/%d" % id
    move = ledger.begin_move(id, "correct", path, f"{label}s", label, by, later(second), via="page")
    ledger.finish_move(move.id, later(second))
    return move.id


def undo(ledger: Ledger, id: int, of: int, outcome: str, label: str | None, second: float) -> None:
    path = b"/sorted/%d" % id
    move = ledger.begin_move(id, "undo", path, outcome, label, "mo", later(second), of)
    ledger.finish_move(move.id, later(second))


def reviewed(engine: Engine, id: int) -> tuple[object, object]:
    row = listing.result(engine, id)
    assert row is not None
    return row["reviewed_by"], row["reviewed_at"]


def test_a_row_says_who_judged_it_last_and_when(ledger: Ledger, engine: Engine) -> None:
    id = filed(ledger)
    assert reviewed(engine, id) == (None, None)
    first = correct(ledger, id, "cat", "ann", 1)  # it was filed as a cat, so this is a confirmation
    assert reviewed(engine, id) == ("ann", later(1))
    second = correct(ledger, id, "dog", "bob", 2)
    assert reviewed(engine, id) == ("bob", later(2))
    undo(ledger, id, second, "cats", "cat", 3)
    assert reviewed(engine, id) == ("ann", later(1))
    undo(ledger, id, first, "cats", None, 4)
    assert reviewed(engine, id) == (None, None)


def test_an_undo_of_the_filing_keeps_what_was_said(ledger: Ledger, engine: Engine) -> None:
    id = filed(ledger)
    correct(ledger, id, "cat")
    move = ledger.begin_move(id, "undo", b"/in/a.jpg", None, "cat", "mo", later(2))
    ledger.finish_move(move.id, later(2))
    assert reviewed(engine, id) == ("ann", later(1))


def test_a_move_says_how_it_was_made(ledger: Ledger) -> None:
    id = filed(ledger)
    correct(ledger, id, "cat")
    assert [move.via for move in ledger.moves(id)] == ["page"]


def test_judged_are_corrections_and_confirmations_each_content_once(ledger: Ledger, engine: Engine) -> None:
    same = {"sha256": "a" * 64}
    first, second = filed(ledger, b"1.jpg", **same), filed(ledger, b"2.jpg", **same)
    third, never, back = (filed(ledger, b"%d.jpg" % n, ino=n) for n in (3, 4, 5))
    correct(ledger, second, "cat", second=1)
    correct(ledger, first, "dog", second=2)
    correct(ledger, third, "cat", "bob", second=3)
    undo(ledger, back, correct(ledger, back, "dog", second=4), "cats", None, 5)
    found = list(judged.judged(engine))
    assert [(one.id, one.label, one.reviewed_by) for one in found] == [
        (first, "dog", "ann"), (third, "cat", "bob"),
    ]  # fmt: skip
    assert (found[0].path, found[0].sha256, found[0].prediction) == (b"/sorted/%d" % first, "a" * 64, "cat")
    assert never not in {one.id for one in found}
    assert (judged.count(engine), judged.count(engine, later(2))) == (3, 1)
    judged.PAGE, page = 1, judged.PAGE
    try:
        assert list(judged.judged(engine)) == found
    finally:
        judged.PAGE = page


def test_filed_are_those_without_a_correction_the_latest_first(ledger: Ledger, engine: Engine) -> None:
    first, second, third = (filed(ledger, b"%d.jpg" % n, ino=n) for n in (1, 2, 3))
    correct(ledger, second, "dog")
    assert {one.id for one in judged.filed(engine, 10)} == {first, third}
    assert [one.id for one in judged.filed(engine, 1)] == [third]
    assert judged.filed(engine, 1)[0].path == b"/sorted/cats/3.jpg"


def test_a_listing_has_the_judged_photos_or_the_others(ledger: Ledger, engine: Engine) -> None:
    first, second, third = (filed(ledger, b"%d.jpg" % n, ino=n) for n in range(3))
    correct(ledger, first, "cat")
    undo(ledger, second, correct(ledger, second, "dog"), "cats", None, 2)

    def ids(reviewed: bool | None) -> set[int]:
        return {row["id"] for row in listing.results(engine, listing.ResultFilter(reviewed=reviewed))}

    assert (ids(True), ids(False), ids(None)) == ({first}, {second, third}, {first, second, third})
