from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from db.ledger.ledger import Ledger
from db.queries import browse
from db.queries.browse import Choice, Counted, Page
from db.queries.search import name_search
from tests.db.conftest import NOON, claim, filed, later

OUTCOMES = ("cats", "dogs", "uncertain", "failed")


def names(engine: Engine, **choice: Any) -> list[bytes]:
    return [entry.name for entry in browse.page(engine, Choice(**choice)).entries]


@pytest.fixture
def zoo(ledger: Ledger) -> Ledger:
    """Four files, a second apart, the last one waiting."""
    filed(ledger, b"Tom_100%.JPG", at=NOON, ino=1, confidence=0.99)
    filed(ledger, b"rex.jpg", at=later(1), ino=2, outcome="dogs", prediction="dog", model="pets")
    filed(
        ledger, b"bad.jpg", at=later(2), ino=3, outcome="failed", prediction=None, confidence=None,
        reason="truncated", scores=None, model=None,
    )  # fmt: skip
    ledger.claim([claim(b"wait.jpg", ino=4, inbox="/other", seen_at=later(3))], later(3))
    return ledger


def test_the_newest_comes_first(zoo: Ledger, engine: Engine) -> None:
    assert names(engine) == [b"wait.jpg", b"bad.jpg", b"rex.jpg", b"Tom_100%.JPG"]


def test_each_choice(zoo: Ledger, engine: Engine) -> None:
    assert names(engine, outcome="dogs") == [b"rex.jpg"]
    assert names(engine, outcome="failed", reason="truncated") == [b"bad.jpg"]
    assert names(engine, outcome="failed", reason="empty") == []
    assert names(engine, reason="truncated") == [b"bad.jpg"]
    assert names(engine, inbox="/other") == [b"wait.jpg"]
    assert names(engine, since=later(1), until=later(3)) == [b"bad.jpg", b"rex.jpg"]
    assert names(engine, min_confidence=0.99) == [b"rex.jpg", b"Tom_100%.JPG"]
    assert names(engine, max_confidence=0.5) == []
    assert names(engine, name="TOM_1") == [b"Tom_100%.JPG"]
    assert names(engine, name="0%") == [b"Tom_100%.JPG"]
    assert names(engine, name="m%j") == []
    assert names(engine, model="pets") == [b"rex.jpg"]
    assert names(engine, corrected=True) == []
    assert len(names(engine, corrected=False)) == 4


def test_a_name_that_many_have_is_found_without_the_names_index(
    zoo: Ledger, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_search, "RARE", 1)
    assert names(engine, name="JPG") == [b"wait.jpg", b"bad.jpg", b"rex.jpg", b"Tom_100%.JPG"]
    assert names(engine, name="tom") == [b"Tom_100%.JPG"]


def test_a_part_of_a_name_may_hold_anything(zoo: Ledger, engine: Engine) -> None:
    filed(zoo, b'Mei"ne OR \xc3\x84pfel*.jpg', at=later(5), ino=5)
    found = [b'Mei"ne OR \xc3\x84pfel*.jpg']
    assert names(engine, name='i"n') == names(engine, name="e OR ") == names(engine, name="l*.") == found
    assert names(engine, name="\u00c4PF") == found


@pytest.mark.parametrize("odd", ["\0", "a\0", "\0a", "tom\0x", "\ud800", "r\udcffx"])
def test_a_filter_that_no_row_can_match_finds_nothing(zoo: Ledger, engine: Engine, odd: str) -> None:
    """SQLite ends a pattern at a NUL, so it would match all; PostgreSQL takes neither."""
    for field in ("name", "outcome", "reason", "inbox", "model"):
        choice: dict[str, Any] = {field: odd}
        assert names(engine, **choice) == [], field
        assert browse.first_page(engine, Choice(**choice), OUTCOMES)[0].entries == (), field
    counted = browse.first_page(engine, Choice(name=odd), OUTCOMES)[1]
    assert sum(counted.by_outcome.values()) == 0


@pytest.mark.parametrize("part", ["%", "_", "[", "]", "*", "?", "^", "'", '"', "/", "--", "\u202e"])
def test_no_character_stands_for_others_in_a_part_of_a_name(zoo: Ledger, engine: Engine, part: str) -> None:
    assert names(engine, name=part) == [name for name in (b"Tom_100%.JPG",) if part.encode() in name]
    filed(zoo, f"x{part}y.gif".encode().replace(b"/", b"-"), at=later(9), ino=77)
    assert len(names(engine, name=f"x{part}y")) == (part != "/")
    assert names(engine, name=f"x{part}{part}y") == []


def test_what_vanished_is_not_shown(zoo: Ledger, engine: Engine) -> None:
    [ticket] = zoo.claim([claim(b"gone.jpg", ino=9, seen_at=later(9))], later(9))
    zoo.vanish([ticket.id], later(10))
    assert b"gone.jpg" not in names(engine)


def test_a_page_begins_behind_the_one_before_also_among_equal_times(ledger: Ledger, engine: Engine) -> None:
    made = [filed(ledger, b"%d.jpg" % n, at=later(n // 3), ino=n) for n in range(9)]
    met, after = [], None
    for _ in range(4):
        page = browse.page(engine, Choice(), after, size=2)
        met += [entry.id for entry in page.entries]
        after = page.next
    # What arrives meanwhile moves nothing.
    filed(ledger, b"new.jpg", at=later(99), ino=99)
    last = browse.page(engine, Choice(), after, size=2)
    assert [*met, last.entries[0].id] == made[::-1]
    assert last.next is None


def test_the_last_page_that_is_full_has_no_next(zoo: Ledger, engine: Engine) -> None:
    assert browse.page(engine, Choice(), size=4).next is None
    assert browse.page(engine, Choice(), size=3).next is not None


def test_counts_heed_all_of_a_choice_but_its_outcome(zoo: Ledger, engine: Engine) -> None:
    def counted(**choice: Any) -> Counted:
        return browse.first_page(engine, Choice(**choice), OUTCOMES)[1]

    one_each = {"cats": 1, "dogs": 1, "uncertain": 0, "failed": 1}
    assert counted() == counted(outcome="cats") == Counted(one_each)
    assert counted(since=later(1)).by_outcome == {**one_each, "cats": 0}
    assert counted(model="pets").by_outcome == {**dict.fromkeys(OUTCOMES, 0), "dogs": 1}
    assert counted(name="tom").by_outcome == {**dict.fromkeys(OUTCOMES, 0), "cats": 1}


def test_an_empty_ledger_has_an_empty_page(engine: Engine) -> None:
    nothing = Counted(dict.fromkeys(OUTCOMES, 0))
    assert browse.first_page(engine, Choice(), OUTCOMES) == (Page(()), nothing)
    assert browse.page(engine, Choice(inbox="/x")) == Page(())
