"""The ledger takes a file from its claim to its place, one allowed step at a time."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from db.connection.engine import writing
from db.ledger import statements
from db.ledger.ledger import Ledger, LedgerError, SettledFile
from tests.db.conftest import NOON, SPOOL, claim, filed, later, verdict
from tests.db.ledger.entries import in_state, only


def test_tickets_come_in_the_order_of_the_claims(ledger: Ledger) -> None:
    claims = [claim(b"%d.jpg" % n, ino=n) for n in range(64)]
    tickets = ledger.claim(claims, NOON)
    entries = {entry.id: entry for entry in ledger.unfinished()}
    assert [entries[ticket.id].source for ticket in tickets] == [c.source for c in claims]
    assert [entries[ticket.id].spool_name for ticket in tickets] == [t.spool_name for t in tickets]


def test_tickets_are_matched_in_whatever_order_the_rows_come_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Connection.execute

    def reversing(self: Connection, statement: Any, *arguments: Any) -> Any:
        result = honest(self, statement, *arguments)
        return list(result)[::-1] if statement is statements.CLAIM else result

    monkeypatch.setattr(Connection, "execute", reversing)
    test_tickets_come_in_the_order_of_the_claims(ledger)


def test_no_two_files_of_a_batch_have_one_token(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["aaaaaaaa", "aaaaaaaa", "bbbbbbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    tickets = ledger.claim([claim(b"1.jpg", ino=1), claim(b"2.jpg", ino=2)], NOON)
    assert {t.spool_name.split("-")[1] for t in tickets} == {"aaaaaaaa", "bbbbbbbb"}
    assert len({t.id for t in tickets}) == 2


def test_a_batch_is_claimed_in_as_many_statements_as_a_file(ledger: Ledger, engine: Engine) -> None:
    ran: list[str] = []

    def note(*arguments: Any) -> None:
        ran.append(arguments[2])

    counts = []
    event.listen(engine, "before_cursor_execute", note)
    for number in (1, 64):
        ran.clear()
        ledger.claim([claim(b"%d.jpg" % n, ino=1000 * number + n) for n in range(number)], NOON)
        counts.append(len(ran))
    event.remove(engine, "before_cursor_execute", note)
    assert counts[0] == counts[1] > 0


def test_a_claimed_file_is_in_the_spool_by_the_book(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim(b"new/a.jpg")], later(1))
    entry = only(ledger, ticket.id)
    assert entry.state == "claimed"
    assert (entry.source, entry.name, entry.inbox) == (b"new/a.jpg", b"a.jpg", "/in")
    assert entry.path == SPOOL + b"/" + ticket.spool_name.encode()
    assert ticket.spool_name.startswith(f"{ticket.id}-") and len(ticket.spool_name.split("-")[1]) == 8
    assert (entry.seen_at, entry.claimed_at, entry.attempts) == (NOON, later(1), 0)


def test_an_empty_batch_writes_nothing(ledger: Ledger) -> None:
    assert ledger.claim([], NOON) == []


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", b"a\nb.jpg", rb"C:\cat.jpg", "ö".encode(), b"'; --", b"%s?:x"]
)
def test_names_of_any_bytes_come_back(ledger: Ledger, name: bytes) -> None:
    inbox = os.fsdecode(b"/in\xff\\box")
    [ticket] = ledger.claim([claim(name, inbox=inbox)], NOON)
    entry = only(ledger, ticket.id)
    assert (entry.inbox, entry.source, entry.name) == (inbox, name, name)


def test_numbers_of_any_file_system_come_back(ledger: Ledger) -> None:
    odd = SettledFile("/in", b"a", dev=2**64 - 1, ino=2**64 - 2, bytes=2**62, mtime_ns=2**65, seen_at=NOON)
    old = SettledFile("/in", b"b", dev=0, ino=1, bytes=0, mtime_ns=-(2**63), seen_at=NOON)
    tickets = ledger.claim([odd, old], NOON)
    found = ledger.entries([ticket.id for ticket in tickets])
    assert [(e.dev, e.ino, e.bytes, e.mtime_ns) for e in found] == [
        (c.dev, c.ino, c.bytes, c.mtime_ns) for c in (odd, old)
    ]


def test_two_hard_links_to_a_photo_are_two_deliveries(ledger: Ledger) -> None:
    assert len(ledger.claim([claim(b"a.jpg", ino=3), claim(b"b.jpg", ino=3)], NOON)) == 2


def test_the_way_of_a_file(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    ledger.begin_decoding([(ticket.id, "f" * 64)], False, later(1))
    assert (only(ledger, ticket.id).state, only(ledger, ticket.id).sha256) == ("decoding", "f" * 64)
    answer = verdict(ticket.id, outcome="uncertain", reason="low_confidence", destination=b"/sorted/\xff")
    ledger.decide([answer], later(2))
    decided = only(ledger, ticket.id)
    assert (decided.state, decided.verdict, decided.outcome) == ("decided", "uncertain", None)
    assert decided.path == SPOOL + b"/" + ticket.spool_name.encode()
    ledger.file([ticket.id], later(3))
    entry = only(ledger, ticket.id)
    assert (entry.state, entry.outcome, entry.path) == ("filed", "uncertain", b"/sorted/\xff")
    assert (entry.scores, entry.reason, entry.width) == ({"cat": 0.99, "dog": 0.01}, "low_confidence", 640)
    assert (entry.decided_at, entry.filed_at, entry.changed_at) == (later(2), later(3), later(3))
    assert ledger.unfinished() == []


def test_only_a_file_that_a_decoder_gets_alone_has_an_attempt_more(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    attempts = []
    for alone in (False, True, True):
        ledger.begin_decoding([(ticket.id, "f" * 64)], alone, NOON)
        attempts.append(only(ledger, ticket.id).attempts)
    assert attempts == [0, 1, 2]


def test_release_takes_the_attempt_back(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    ledger.begin_decoding([(ticket.id, "f" * 64)], True, NOON)
    ledger.release([(ticket.id, 0)], later(1))
    assert (only(ledger, ticket.id).state, only(ledger, ticket.id).attempts) == ("claimed", 0)


def test_changed_content_begins_anew(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    ledger.begin_decoding([(ticket.id, "f" * 64)], False, NOON)
    ledger.reclaim(ticket.id, 5, 6, later(1))
    entry = only(ledger, ticket.id)
    assert (entry.state, entry.bytes, entry.mtime_ns, entry.sha256) == ("claimed", 5, 6, None)


def test_redirect_changes_the_destination_only(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    ledger.decide([verdict(ticket.id)], NOON)
    ledger.redirect(ticket.id, b"/sorted/cats/a (2).jpg")
    ledger.file([ticket.id], NOON)
    assert only(ledger, ticket.id).path == b"/sorted/cats/a (2).jpg"


STEPS: dict[str, Callable[[Ledger, int], object]] = {
    "vanish": lambda ledger, id: ledger.vanish([id], NOON),
    "unclaim": lambda ledger, id: ledger.unclaim([id]),
    "begin_decoding": lambda ledger, id: ledger.begin_decoding([(id, "e" * 64)], True, NOON),
    "release": lambda ledger, id: ledger.release([(id, 0)], NOON),
    "reclaim": lambda ledger, id: ledger.reclaim(id, 1, 1, NOON),
    "decide": lambda ledger, id: ledger.decide([verdict(id)], NOON),
    "redirect": lambda ledger, id: ledger.redirect(id, b"/x"),
    "file": lambda ledger, id: ledger.file([id], NOON),
    "move": lambda ledger, id: ledger.begin_move(id, "undo", b"/in/a", None, None, "me", NOON),
}


ALLOWED = {
    "claimed": {"vanish", "unclaim", "begin_decoding", "reclaim", "decide"},
    "decoding": {"begin_decoding", "release", "reclaim", "decide"},
    "decided": {"redirect", "file"},
    "filed": {"move"},
    "vanished": set[str](),
    "undone": set[str](),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", ALLOWED)
def test_a_step_is_taken_only_from_where_it_starts(ledger: Ledger, state: str, step: str) -> None:
    id = in_state(ledger, state)
    before = only(ledger, id)
    assert before.state == state
    if step in ALLOWED[state]:
        STEPS[step](ledger, id)
    else:
        with pytest.raises(LedgerError):
            STEPS[step](ledger, id)
        assert only(ledger, id) == before


def test_one_file_in_the_wrong_state_stops_the_whole_batch(ledger: Ledger) -> None:
    tickets = ledger.claim([claim(b"%d" % n, ino=n) for n in range(3)], NOON)
    ledger.decide([verdict(ticket.id) for ticket in tickets[:2]], NOON)
    with pytest.raises(LedgerError, match="Only 2 of 3"):
        ledger.file([ticket.id for ticket in tickets], NOON)
    assert [entry.state for entry in ledger.unfinished()] == ["decided", "decided", "claimed"]


def test_text_from_inside_a_file_never_breaks_a_batch(ledger: Ledger) -> None:
    [ticket] = ledger.claim([claim()], NOON)
    ledger.decide([verdict(ticket.id, detail="bad\0marker \udcff", taken_at="2026:01:01\0")], NOON)
    entry = only(ledger, ticket.id)
    assert (entry.detail, entry.taken_at) == (r"bad\x00marker \udcff", r"2026:01:01\x00")


def test_a_long_path_is_filed(ledger: Ledger) -> None:
    # Beyond what a B-tree of PostgreSQL takes, and incompressible.
    path = b"/sorted/" + os.urandom(4000).replace(b"\0", b"1")
    assert only(ledger, filed(ledger, destination=path)).path == path


def test_times_need_a_zone_and_come_back_in_utc(ledger: Ledger) -> None:
    berlin = dt.timezone(dt.timedelta(hours=1))
    [ticket] = ledger.claim([claim(seen_at=dt.datetime(2026, 11, 21, 13, tzinfo=berlin))], NOON)
    seen_at = only(ledger, ticket.id).seen_at
    assert (seen_at, seen_at.tzinfo) == (NOON, dt.UTC)
    with pytest.raises(Exception, match="expected a datetime with a time zone"):
        ledger.claim([claim(seen_at=dt.datetime(2026, 11, 21))], NOON)


def test_the_database_refuses_a_state_that_does_not_exist(ledger: Ledger, engine: Engine) -> None:
    id = filed(ledger)
    with pytest.raises(Exception, match="ck_files_state"), writing(engine) as connection:
        connection.execute(text("UPDATE files SET state = 'lost' WHERE id = :id"), {"id": id})
