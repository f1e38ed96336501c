from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine

from db.ledger.ledger import Ledger
from db.queries import overview, review
from db.queries.review import Group, Settled
from tests.db.conftest import filed, later

CAT, DOG = Group("low_confidence", "cat"), Group("low_confidence", "dog")
NO_CAT = Group("neither", "cat")


def doubt(ledger: Ledger, confidence: float, group: Group = CAT) -> int:
    doubted = {"outcome": "uncertain", "reason": group.reason, "prediction": group.prediction}
    return filed(ledger, confidence=confidence, **doubted)


def answer(ledger: Ledger, id: int, label: str, outcome: str = "cats") -> None:
    move = ledger.begin_move(id, "correct", b"/sorted/%d" % id, outcome, label, "ann", later(1))
    ledger.finish_move(move.id, later(1))


def queue(engine: Engine, order: review.Order = "unsure", size: int = 99) -> list[int]:
    return [entry.id for entry in review.queue(engine, list(review.left(engine)), order, size=size)]


@pytest.fixture
def doubts(ledger: Ledger) -> dict[str, int]:
    filed(ledger)
    return {
        "dog 0.9": doubt(ledger, 0.9, DOG),
        "cat 0.5": doubt(ledger, 0.5),
        "no cat 0.1": doubt(ledger, 0.1, NO_CAT),
        "dog 0.4": doubt(ledger, 0.4, DOG),
        "no cat 0.3": doubt(ledger, 0.3, NO_CAT),
    }


def ids(doubts: dict[str, int], *names: str) -> list[int]:
    return [doubts[name] for name in names]


def test_the_least_sure_comes_first(doubts: dict[str, int], engine: Engine) -> None:
    wanted = ids(doubts, "dog 0.4", "cat 0.5", "dog 0.9", "no cat 0.3", "no cat 0.1")
    assert queue(engine) == wanted


def test_alike_stand_together(doubts: dict[str, int], engine: Engine) -> None:
    wanted = ids(doubts, "cat 0.5", "dog 0.4", "dog 0.9", "no cat 0.3", "no cat 0.1")
    assert queue(engine, "alike") == wanted


def test_left_counts_files_without_a_correction(
    doubts: dict[str, int], ledger: Ledger, engine: Engine
) -> None:
    assert review.left(engine) == {CAT: 1, DOG: 2, NO_CAT: 2}
    answer(ledger, doubts["dog 0.4"], "cat")
    answer(ledger, doubts["cat 0.5"], "neither", "uncertain")
    assert review.left(engine) == {DOG: 1, NO_CAT: 2}
    assert doubts["cat 0.5"] not in queue(engine)


@pytest.mark.parametrize("order", ["unsure", "alike"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_going_on_behind_a_spot_meets_each_once(
    doubts: dict[str, int], engine: Engine, order: review.Order, size: int
) -> None:
    groups = list(review.left(engine))
    met: list[int] = []
    part = review.queue(engine, groups, order, size=size)
    while part:
        met += [entry.id for entry in part]
        part = review.queue(engine, groups, order, review.spot_of(part[-1]), size)
    assert met == queue(engine, order)


@pytest.mark.parametrize("order", ["unsure", "alike"])
def test_photos_without_an_answer_are_all_met(
    doubts: dict[str, int], ledger: Ledger, engine: Engine, order: review.Order
) -> None:
    nothing = {"outcome": "uncertain", "reason": "imported", "prediction": None, "confidence": None}
    own = [filed(ledger, **nothing) for _ in range(3)]
    met: list[int] = []
    while part := review.queue(engine, list(review.left(engine)), order, met_last(engine, met)):
        met += [entry.id for entry in part]
    assert sorted(met) == sorted([*doubts.values(), *own]) and met == queue(engine, order)


def met_last(engine: Engine, met: Sequence[int]) -> review.Spot | None:
    return review.spot_of(overview.entries(engine, met[-1:])[met[-1]]) if met else None


def test_going_on_works_when_the_spot_was_settled_meanwhile(
    doubts: dict[str, int], ledger: Ledger, engine: Engine
) -> None:
    [first] = review.queue(engine, [CAT, DOG, NO_CAT])
    answer(ledger, first.id, "dog", "dogs")
    [second] = review.queue(engine, [CAT, DOG, NO_CAT], after=review.spot_of(first))
    assert second.id == doubts["cat 0.5"]


def test_equal_confidences_are_all_met(ledger: Ledger, engine: Engine) -> None:
    made = [doubt(ledger, 0.5, group) for group in (CAT, DOG, CAT, DOG)]
    first = review.queue(engine, [CAT, DOG], size=2)
    rest = review.queue(engine, [CAT, DOG], after=review.spot_of(first[-1]), size=9)
    assert [entry.id for entry in [*first, *rest]] == made


def test_one_group_alone(doubts: dict[str, int], engine: Engine) -> None:
    assert [e.id for e in review.queue(engine, [DOG], size=9)] == ids(doubts, "dog 0.4", "dog 0.9")
    assert review.queue(engine, []) == []


def settled(found: Sequence[Settled]) -> dict[tuple[str, str | None, str], int]:
    return {(s.verdict, s.label, s.corrected_to): s.count for s in found}


def test_what_was_settled_is_counted_by_what_the_model_took_it_for(
    doubts: dict[str, int], ledger: Ledger, engine: Engine
) -> None:
    wrong = filed(ledger, outcome="cats")
    answer(ledger, wrong, "dog", "dogs")
    answer(ledger, doubts["cat 0.5"], "cat")
    answer(ledger, doubts["no cat 0.1"], "neither", "uncertain")
    answer(ledger, doubts["no cat 0.3"], "cat")
    found = review.settled(engine)
    assert settled(found) == {
        ("cats", "cat", "dog"): 1,
        ("uncertain", "cat", "cat"): 1,
        ("uncertain", "neither", "neither"): 1,
        ("uncertain", "neither", "cat"): 1,
    }
    assert sum(s.count for s in found if s.is_right(["cat", "dog", "neither"])) == 2


def test_an_undo_puts_a_file_back_into_the_queue(
    doubts: dict[str, int], ledger: Ledger, engine: Engine
) -> None:
    id = doubts["cat 0.5"]
    answer(ledger, id, "cat")
    [made] = ledger.moves(id)
    back = ledger.begin_move(id, "undo", b"/sorted/back", "uncertain", None, "ann", later(2), made.id)
    ledger.finish_move(back.id, later(2))
    assert id in queue(engine)
    assert review.settled(engine) == []
