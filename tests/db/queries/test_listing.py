from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.connection.engine import open_database, reading
from db.ledger.ledger import Ledger
from db.ledger.report_days import record_report
from db.queries import listing, overview
from db.queries.day_figures import arrived
from db.queries.listing import ResultFilter
from tests.db.conftest import NOON, claim, filed, later, verdict


def ids(engine: Engine, **filters: Any) -> list[int]:
    return [row["id"] for row in listing.results(engine, ResultFilter(**filters))]


def test_a_result_has_the_columns_of_the_view_in_readable_form(ledger: Ledger, engine: Engine) -> None:
    filed(ledger, b"new/\xff.jpg", destination=b"/sorted/cats/\xff.jpg")
    [row] = listing.results(engine)
    assert tuple(row) == listing.RESULT_COLUMNS
    assert (row["name"], row["source_path"], row["path"]) == (
        r"\xff.jpg", r"/in/new/\xff.jpg", r"/sorted/cats/\xff.jpg",
    )  # fmt: skip
    assert (row["scores"], row["seen_at"], row["outcome"]) == ({"cat": 0.99, "dog": 0.01}, NOON, "cats")


def test_results_are_newest_first_and_limited(ledger: Ledger, engine: Engine) -> None:
    made = [filed(ledger, b"%d" % n, ino=n) for n in range(5)]
    assert ids(engine) == made[::-1]
    assert ids(engine, limit=2) == made[:2:-1]
    assert ids(engine, limit=0) == []


def test_one_row_is_found_by_its_id(ledger: Ledger, engine: Engine) -> None:
    id = filed(ledger, b"a")
    assert listing.result(engine, id) == next(listing.results(engine))
    assert listing.result(engine, id + 1) is None


def test_pages_meet_each_row_once_also_where_the_first_to_come_was_claimed_last(
    ledger: Ledger, engine: Engine
) -> None:
    first = filed(ledger, b"a", at=later(2), ino=1)
    second = filed(ledger, b"b", at=later(1), ino=2)
    third = filed(ledger, b"c", at=later(3), ino=3)
    met: list[int] = []
    while part := ids(engine, limit=1, before=met[-1] if met else None):
        met += part
    assert met == [third, first, second]


def test_each_filter(ledger: Ledger, engine: Engine) -> None:
    cat = filed(ledger, b"Tom_100%.JPG", at=NOON, ino=1, confidence=0.99)
    dog = filed(ledger, b"rex.jpg", at=later(10), ino=2, outcome="dogs", prediction="dog", confidence=0.5)
    [ticket] = ledger.claim([claim(b"wait.jpg", ino=3, inbox="/other", seen_at=later(20))], later(20))
    waiting = ticket.id
    assert ids(engine, outcome="dogs") == [dog]
    assert ids(engine, outcome="waiting") == [waiting]
    assert ids(engine, prediction="cat") == [cat]
    assert ids(engine, inbox="/other") == [waiting]
    assert ids(engine, name="tom") == [cat]
    assert ids(engine, name="_1") == [cat]
    assert ids(engine, name="0%") == [cat]
    assert ids(engine, name="m%j") == []
    assert ids(engine, name=".jpg") == [waiting, dog, cat]
    assert ids(engine, min_confidence=0.99) == [cat]
    assert ids(engine, max_confidence=0.5) == [dog]
    assert ids(engine, min_confidence=0.5, max_confidence=0.98) == [dog]
    assert ids(engine, since=later(10)) == [waiting, dog]
    assert ids(engine, until=later(10)) == [cat]
    assert ids(engine, prediction="dog", outcome="cats") == []


@pytest.mark.parametrize("odd", ["\0", "tom\0x", "\ud800", "r\udcffx"])
@pytest.mark.parametrize("field", ["name", "outcome", "prediction", "inbox"])
def test_a_filter_that_no_row_can_match_finds_nothing(
    ledger: Ledger, engine: Engine, field: str, odd: str
) -> None:
    filed(ledger, b"Tom_1.jpg", ino=1)
    assert ids(engine, **{field: odd}) == []


def test_a_file_that_vanished_did_not_arrive(ledger: Ledger, engine: Engine) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    assert ids(engine) == [ticket.id]
    ledger.vanish([ticket.id], NOON)
    assert ids(engine) == []
    assert listing.counts(engine) == {"waiting": 0}
    assert overview.states(engine) == {"vanished": 1}


def test_counts_are_what_the_view_says(ledger: Ledger, engine: Engine) -> None:
    for n, outcome in enumerate(["cats", "cats", "failed"]):
        filed(ledger, b"%d" % n, ino=n, outcome=outcome)
    tickets = ledger.claim([claim(b"w1", ino=8), claim(b"w2", ino=9)], NOON)
    ledger.decide([verdict(tickets[0].id, outcome="dogs")], NOON)
    assert listing.counts(engine) == {"cats": 2, "failed": 1, "waiting": 2}
    with reading(engine) as connection:
        by_hand = connection.execute(text("SELECT outcome, count(*) FROM results GROUP BY 1")).all()
    assert {outcome or "waiting": count for outcome, count in by_hand} == listing.counts(engine)
    assert overview.states(engine) == {"claimed": 1, "decided": 1, "filed": 3}


def test_results_can_be_read_while_rows_change(ledger: Ledger, engine: Engine) -> None:
    made = [filed(ledger, b"%d" % n, ino=n) for n in range(10)]
    chunks = listing.report_rows(engine, NOON, later(1), chunk=3)
    first = next(chunks)
    filed(ledger, b"new", ino=99)
    rest = [row["id"] for chunk in chunks for row in chunk]
    assert [row["id"] for row in first] + rest == made


def test_a_day_is_half_open(ledger: Ledger, engine: Engine) -> None:
    for seconds in (-1, 0, 5, 10):
        filed(ledger, b"%d" % seconds, at=later(seconds), ino=seconds)
    found = [row for chunk in listing.report_rows(engine, NOON, later(10)) for row in chunk]
    assert [row["name"] for row in found] == ["0", "5"]
    assert arrived(engine, NOON, later(10)) == {("", "/in"): 2}


def test_the_first_and_the_last(ledger: Ledger, engine: Engine) -> None:
    assert listing.first_seen_at(engine) is None
    assert listing.last_filed(engine) is None
    filed(ledger, b"a", at=later(5), ino=1)
    filed(ledger, b"b", at=later(3), ino=2)
    assert listing.first_seen_at(engine) == later(3)
    last = listing.last_filed(engine)
    assert last is not None
    assert (last["name"], last["filed_at"]) == ("a", later(5))


def test_a_report_is_recorded_once_for_each_day(engine: Engine) -> None:
    first, second = dt.date(2026, 11, 20), dt.date(2026, 11, 21)
    record_report(engine, second, later(1), 0)
    record_report(engine, first, later(2), 3)
    record_report(engine, first, later(3), 0)
    assert listing.written_reports(engine) == [
        listing.Report(first, later(3), 0),
        listing.Report(second, later(1), 0),
    ]


def test_a_day_changes_with_each_step_and_move_of_its_files(ledger: Ledger, engine: Engine) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    day = NOON, later(100)

    def changed_since(seconds: float) -> bool:
        return listing.changed_since(engine, *day, later(seconds))

    assert not changed_since(0)
    ledger.decide([verdict(ticket.id)], later(1))
    ledger.file([ticket.id], later(2))
    assert changed_since(1) and not changed_since(2)
    move = ledger.begin_move(ticket.id, "correct", b"/x", "dogs", "dog", "jo", later(3))
    assert not changed_since(2)
    ledger.finish_move(move.id, later(4))
    assert changed_since(3) and not changed_since(4)
    assert not listing.changed_since(engine, later(100), later(200), NOON)


def test_files_are_found_by_where_they_are(ledger: Ledger, engine: Engine) -> None:
    id = filed(ledger, destination=b"/sorted/cats/\xff.jpg")
    ledger.claim([claim(b"w", ino=2)], NOON)
    found = listing.filed_at_paths(engine, [b"/sorted/cats/\xff.jpg", b"/sorted/cats/other.jpg"])
    assert {path: entry.id for path, entry in found.items()} == {b"/sorted/cats/\xff.jpg": id}


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("outcome = 'uncertain' ORDER BY id DESC LIMIT 50", "ix_files_outcome"),
        ("confidence < 0.6", "ix_files_confidence"),
        ("seen_at >= '2026-11-21' AND seen_at < '2026-11-22'", "ix_files_seen_at"),
        ("sha256 = 'abc'", "ix_files_sha256"),
        ("state = 'filed' AND path = '/x'", "ix_files_path"),
        ("state IN ('claimed', 'decoding', 'decided') ORDER BY id", "ix_files_unfinished"),
    ],
)
def test_people_s_queries_use_an_index(sqlite_made: Path, condition: str, index: str) -> None:
    engine = open_database(f"sqlite:///{sqlite_made}", "read")
    with reading(engine) as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM results WHERE {condition}").all()
    engine.dispose()
    assert index in str(plan)
