"""The files before and after one, with conditions that have an index and with others."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from db.ledger.ledger import Ledger
from db.queries import browse, neighbours
from db.queries.browse import Choice
from db.queries.neighbours import Neighbours
from tests.db.conftest import NOON, filed, later

CHOICES = (
    Choice(), Choice(outcome="dogs"), Choice(outcome="cats", model="new"), Choice(model="new"),
    Choice(name="a"), Choice(min_confidence=0.95), Choice(since=later(2), until=later(4)), Choice(name="\0"),
)  # fmt: skip


@pytest.fixture
def zoo(ledger: Ledger) -> Ledger:
    """Six files, of which two arrived at the same time."""
    for number, name in enumerate((b"a.jpg", b"b.jpg", b"a2.jpg", b"b2.jpg", b"a3.jpg", b"c2.jpg")):
        at = later(min(number, 4)) if number else NOON
        outcome, model = "dogs" if name[:1] == b"b" else "cats", "new" if b"2" in name else "old"
        filed(ledger, name, at=at, ino=number + 1, outcome=outcome, model=model)
    return ledger


def around(engine: Engine, id: int, choice: Choice) -> Neighbours:
    mark = browse.mark(engine, id)
    assert mark is not None
    return neighbours.neighbours(engine, choice, mark)


def test_neighbours_are_those_of_the_list(zoo: Ledger, engine: Engine) -> None:
    order = [entry.id for entry in browse.page(engine, Choice()).entries]
    for choice in CHOICES:
        listed = {entry.id for entry in browse.page(engine, choice).entries}
        for place, id in enumerate(order):
            newer = [other for other in order[:place] if other in listed]
            older = [other for other in order[place + 1 :] if other in listed]
            expected = (newer[-1] if newer else None, older[0] if older else None)
            assert around(engine, id, choice) == expected, (choice, id)


def test_a_condition_without_an_index_is_searched_window_by_window_for_a_limited_time(
    zoo: Ledger, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    [*_, first] = [entry.id for entry in browse.page(engine, Choice()).entries]
    monkeypatch.setattr(neighbours, "WINDOW", 1)
    newer = around(engine, first, Choice(model="new")).newer
    assert newer is not None
    monkeypatch.setattr(neighbours, "SEARCH_SECONDS", -1)
    assert around(engine, first, Choice(model="new")).newer is None
