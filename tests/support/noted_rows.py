"""Rows of photos that a backfill has noted, without a run."""

from __future__ import annotations

import datetime as dt
import os

from sqlalchemy import Engine

from db.ledger.backfill import LoadMark, Noted, note
from db.ledger.ledger import FileDecision, SettledFile

MOMENT = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


def noted(name: bytes = b"n.jpg", first: int | None = None, **changes: object) -> Noted:
    file = SettledFile("/archive", name, 9, 9, 1000, 5, MOMENT)
    decision = FileDecision(
        0, "cats", "cat", 0.95, scores={"cat": 0.95, "dog": 0.05}, sha256=os.fsencode(name).hex(),
        format="JPEG", width=640, height=480, model="cats_dogs", model_sha256="b" * 64, brightness=0.5,
    )  # fmt: skip
    return Noted(file, b"/archive/" + name, decision._replace(**changes), first)  # type: ignore[arg-type]


def note_some(engine: Engine, *rows: Noted, part: int = 0) -> None:
    """Record rows as noted, as one part of a run."""
    assert note(engine, LoadMark("0" * 64, part), rows, MOMENT)
