from __future__ import annotations

from sqlalchemy import Engine

from db.ledger.ledger import Ledger
from db.queries import overview
from db.queries.overview import Failure
from tests.db.conftest import NOON, filed, later


def test_files_are_counted_by_day_and_outcome(ledger: Ledger, engine: Engine) -> None:
    filed(ledger, at=later(-1))
    filed(ledger, at=NOON)
    filed(ledger, at=later(1), outcome="dogs")
    days = [(later(-10), NOON), (NOON, later(10))]
    assert overview.by_day(engine, days, ["cats", "dogs"]) == [{"cats": 1, "dogs": 0}, {"cats": 1, "dogs": 1}]


def test_failures_are_counted_by_reason_the_most_frequent_first(ledger: Ledger, engine: Engine) -> None:
    for number, reason in enumerate(["empty", "truncated", "truncated"]):
        filed(ledger, at=later(number), outcome="failed", reason=reason, destination=b"/f/%d" % number)
    filed(ledger, outcome="uncertain", reason="neither")
    assert overview.failures(engine) == [Failure("truncated", 2, later(2)), Failure("empty", 1, NOON)]
    assert overview.failed_paths(engine, "truncated", 9) == [b"/f/2", b"/f/1"]
    assert overview.failed_paths(engine, "truncated", 1) == [b"/f/2"]


def test_confidences_fall_into_bins_and_none_is_left_out(ledger: Ledger, engine: Engine) -> None:
    for confidence in (0.0, 0.249, 0.25, 0.99, 1.0, None):
        filed(ledger, confidence=confidence)
    assert overview.histogram(engine, 4) == [2, 1, 0, 2]


def test_a_history_has_the_moves_and_the_same_content_elsewhere(ledger: Ledger, engine: Engine) -> None:
    first = filed(ledger, sha256="a" * 64)
    copy = filed(ledger, sha256="a" * 64, duplicate_of=first)
    filed(ledger, sha256="b" * 64)
    move = ledger.begin_move(first, "correct", b"/sorted/dogs/a", "dogs", "dog", "ann", later(1))
    ledger.finish_move(move.id, later(2))
    found = overview.history(engine, first)
    assert found is not None
    assert (found.entry.corrected_to, [m.by for m in found.moves]) == ("dog", ["ann"])
    assert [entry.id for entry in found.same] == [copy]
    ledger.end(ledger.entries([copy]), later(3))
    again = overview.history(engine, first)
    assert again is not None
    assert again.same == (), "its row has ended"


def test_a_file_that_is_not_there_has_no_history(engine: Engine) -> None:
    assert overview.history(engine, 7) is None


def test_a_file_refused_unread_has_no_equals(ledger: Ledger, engine: Engine) -> None:
    first, _ = filed(ledger, sha256=None), filed(ledger, sha256=None)
    found = overview.history(engine, first)
    assert found is not None
    assert found.same == ()


def test_moves_are_counted_by_kind_once_they_are_done(ledger: Ledger, engine: Engine) -> None:
    first, second = filed(ledger), filed(ledger, destination=b"/f/2")
    done = ledger.begin_move(first, "correct", b"/sorted/dogs/a", "dogs", "dog", "ann", later(1))
    ledger.finish_move(done.id, later(2))
    ledger.begin_move(second, "correct", b"/sorted/dogs/b", "dogs", "dog", "ann", later(3))
    assert overview.move_counts(engine) == {"correct": 1}
