from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Literal

from sqlalchemy import Engine

from db.ledger.by_hand import HandMove, record
from db.ledger.ledger import Ledger
from db.ledger.spot_checks import Sampled, forget_undone, record_answers, record_draw
from db.queries import spot_checks
from tests.db.conftest import NOON, filed, later
from tests.db.queries.test_judged import correct, undo


def draw(engine: Engine, *ids: int, second: float = 1) -> int:
    return record_draw(engine, [Sampled(id, "cats, last week", 2.5) for id in ids], later(second))


def test_photos_that_were_judged_drawn_or_not_filed_by_the_model_are_not_drawn(
    ledger: Ledger, engine: Engine
) -> None:
    fine, judged, drawn, imported, other = (filed(ledger, b"%d.jpg" % n, ino=n) for n in range(5))
    dog = filed(ledger, b"dog.jpg", ino=9, outcome="dogs", prediction="dog")
    correct(ledger, judged, "cat")
    draw(engine, drawn)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE files SET reason = 'imported' WHERE id = {imported}")
        connection.exec_driver_sql(f"UPDATE files SET state = 'removed', outcome = NULL WHERE id = {other}")
    assert list(spot_checks.undrawn(engine, "cats", None, None)) == [fine]
    assert list(spot_checks.undrawn(engine, "dogs", NOON, NOON + timedelta(seconds=1))) == [dog]
    assert list(spot_checks.undrawn(engine, "dogs", None, NOON)) == []
    assert list(spot_checks.undrawn(engine, "dogs", NOON + timedelta(seconds=1), None)) == []


def test_a_drawn_photo_keeps_what_it_was_and_waits_until_it_is_judged(ledger: Ledger, engine: Engine) -> None:
    first, second = filed(ledger, b"1.jpg", ino=1), filed(ledger, b"2.jpg", ino=2)
    assert draw(engine, second, first) == 2
    assert [each.entry.id for each in spot_checks.waiting(engine, size=9)] == [second, first]
    [after] = spot_checks.waiting(engine, after=spot_checks.waiting(engine)[0].id, size=9)
    assert after.entry.id == first
    assert [each.entry.id for each in spot_checks.waiting(engine, size=9, ids=[first])] == [first]
    correct(ledger, second, "dog", second=2)
    record_answers(engine, [second], "dog", "ann", later(2))
    assert [each.entry.id for each in spot_checks.waiting(engine, size=9)] == [first]
    assert spot_checks.count_waiting(engine) == 1
    moved, waits = spot_checks.drawn(engine)
    assert (moved.outcome, moved.prediction, moved.label, moved.right) == ("cats", "cat", "dog", False)
    assert (moved.stratum, moved.weight, moved.drawn_at, moved.seen_at) == (
        "cats, last week",
        2.5,
        later(1),
        NOON,
    )
    assert (waits.file_id, waits.label) == (first, None)


def test_a_judgement_made_elsewhere_is_the_answer_and_an_undo_takes_it_back(
    ledger: Ledger, engine: Engine
) -> None:
    id = filed(ledger)
    draw(engine, id)
    move = correct(ledger, id, "cat", second=2)
    assert [(each.label, each.right) for each in spot_checks.drawn(engine)] == [("cat", True)]
    record_answers(engine, [id], "cat", "ann", later(2))
    undo(ledger, id, move, "cats", None, 3)
    assert [each.label for each in spot_checks.drawn(engine)] == [None]
    assert spot_checks.count_waiting(engine) == 1
    forget_undone(engine)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql('SELECT answered_at, "by", label, correct FROM spot_checks').all()
    assert [tuple(row) for row in rows] == [(None, None, None, None)]


def test_the_answer_to_a_photo_that_was_removed_later_counts_and_one_without_an_answer_does_not_wait(
    ledger: Ledger, engine: Engine
) -> None:
    answered, waiting = filed(ledger, b"1.jpg", ino=1), filed(ledger, b"2.jpg", ino=2)
    draw(engine, answered, waiting)
    correct(ledger, answered, "dog", second=2)
    record_answers(engine, [answered], "dog", "ann", later(2))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE files SET state = 'removed', outcome = NULL, corrected_to = NULL")
    forget_undone(engine)
    assert [each.label for each in spot_checks.drawn(engine)] == ["dog", None]
    assert spot_checks.count_waiting(engine) == 0


def test_judged_photos_that_were_not_drawn_and_doubtful_ones_are_listed(
    ledger: Ledger, engine: Engine
) -> None:
    low = {"outcome": "uncertain", "reason": "low_confidence", "confidence": 0.6}
    ids = [filed(ledger, b"%d.jpg" % n, ino=n) for n in range(2)]
    doubted = filed(ledger, b"low.jpg", ino=8, **low)
    filed(ledger, b"neither.jpg", ino=9, **(low | {"reason": "neither"}))
    draw(engine, ids[0])
    for id in (*ids, doubted):
        correct(ledger, id, "dog")
    known = list(spot_checks.judged_without(engine, ["cats", "dogs"]))
    assert [(each.outcome, each.prediction, each.label, each.right) for each in known] == [
        ("cats", "cat", "dog", False)
    ]
    sha256 = known[0].model_sha256 or ""
    assert [(each.confidence, each.label) for each in spot_checks.doubted(engine, sha256, 9)] == [
        (0.6, "dog")
    ]
    assert spot_checks.doubted(engine, "other", 9) == []
    assert spot_checks.verdicts(engine) == {"cats": 2, "uncertain": 2}
    correct(ledger, filed(ledger, b"by hand.jpg", ino=10, prediction=None), "cat")
    assert spot_checks.verdicts(engine) == {"cats": 2, "uncertain": 2}, "no model answered"


LOW = {"outcome": "uncertain", "reason": "low_confidence", "confidence": 0.6, "scores": {"cat": 0.6}}


def by_hand(ledger: Ledger, engine: Engine, id: int, outcome: str | None = None) -> None:
    """Move a photo by hand; without an outcome it is deleted."""
    path = ledger.entries([id])[0].path or b""
    kind: Literal["move", "remove"] = "move" if outcome else "remove"
    record(engine, [HandMove(id, kind, "filed", path, path, "ann", False, outcome)], later(3))


def test_a_photo_that_was_dragged_out_of_its_class_counts_as_wrong(ledger: Ledger, engine: Engine) -> None:
    """People put a fox among the cats into `uncertain`, and say no label."""
    drawn, early, waits = (filed(ledger, b"%d.jpg" % n, ino=n) for n in range(3))
    draw(engine, drawn, waits)
    for id in (drawn, early):
        by_hand(ledger, engine, id, "uncertain")
    wrong, unanswered = spot_checks.drawn(engine)
    assert wrong.label is not None and not wrong.right
    assert unanswered.label is None
    [known] = spot_checks.judged_without(engine, ["cats", "dogs"])
    assert (known.outcome, known.right, known.reviewed_at) == ("cats", False, later(3))
    by_hand(ledger, engine, drawn, "cats")
    assert spot_checks.drawn(engine)[0].label is None


def test_a_doubtful_photo_that_was_deleted_counts_as_not_reviewed(ledger: Ledger, engine: Engine) -> None:
    """People who review `uncertain` drag the cats out of it and delete the rest."""
    sha256 = ""
    for n in range(2):
        sha256 = ledger.entries([filed(ledger, b"%d.jpg" % n, ino=n, **LOW)])[0].model_sha256 or ""
    by_hand(ledger, engine, 2)
    found = spot_checks.doubted(engine, sha256, 9)
    assert [(each.confidence, each.prediction, each.label) for each in found] == [(0.6, "cat", None)] * 2
    assert len(spot_checks.doubted(engine, sha256, 1)) == 1


def test_machines_that_draw_at_once_draw_no_photo_twice(ledger: Ledger, engine: Engine) -> None:
    """A lock in the state folder keeps only those of one machine apart."""
    ids = [filed(ledger, b"%d.jpg" % number, ino=number) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: draw(engine, *ids), range(4)))
    assert sum(counts) == len(ids)
    assert sorted(each.file_id for each in spot_checks.drawn(engine)) == ids
