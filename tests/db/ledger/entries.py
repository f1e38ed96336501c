"""Rows of the ledger."""

from __future__ import annotations

from db.ledger.ledger import Entry, Ledger
from tests.db.conftest import NOON, claim, verdict


def only(ledger: Ledger, id: int) -> Entry:
    [entry] = ledger.entries([id])
    return entry


def in_state(ledger: Ledger, state: str) -> int:
    [ticket] = ledger.claim([claim()], NOON)
    id = ticket.id
    if state == "vanished":
        ledger.vanish([id], NOON)
    if state == "decoding":
        ledger.begin_decoding([(id, "f" * 64)], False, NOON)
    if state in ("decided", "filed", "undone"):
        ledger.decide([verdict(id)], NOON)
    if state in ("filed", "undone"):
        ledger.file([id], NOON)
    if state == "undone":
        move = ledger.begin_move(id, "undo", b"/in/a.jpg", None, None, "me", NOON)
        ledger.finish_move(move.id, NOON)
    return id
