from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from db.ledger.by_hand import HandMove, record
from db.ledger.ledger import Ledger
from db.queries.day_figures import Moments, day_figures
from db.schema.tables import files
from tests.db.conftest import NOON, filed
from tests.db.plans import plans

DAY = NOON - dt.timedelta(hours=12), NOON + dt.timedelta(hours=12)
BEFORE = NOON - dt.timedelta(days=1)


def fill(ledger: Ledger) -> None:
    filed(ledger, b"1", ino=1, confidence=0.9, brightness=0.25, width=1000, height=1000)
    filed(ledger, b"2", ino=2, confidence=0.7, brightness=0.75, width=2000, height=2000, prediction="dog",
          outcome="uncertain", model="cats_dogs@1", scores={"cat": 0.3, "dog": 0.7})  # fmt: skip
    filed(ledger, b"3", ino=3, confidence=0.8, model="cats_dogs@1", width=None, height=None)
    nothing = dict.fromkeys(("prediction", "confidence", "scores", "model", "width", "height"))
    filed(ledger, b"4", ino=4, outcome="failed", reason="truncated", **nothing)
    filed(ledger, b"5", ino=5, at=BEFORE)


def test_a_day_has_its_shares_means_and_variances(ledger: Ledger, engine: Engine) -> None:
    fill(ledger)
    found = day_figures(engine, *DAY)
    assert (found.answered, found.failed, found.uncertain) == (3, 1, 1)
    assert found.predictions == {"cat": 2, "dog": 1}
    assert found.confidence == pytest.approx(Moments(3, 0.8, 0.02 / 3))
    assert found.brightness == pytest.approx(Moments(2, 0.5, 0.0625))
    assert found.size == pytest.approx(Moments(2, 1.0, 1.0))  # 1 and 4 megapixels: 2 to the power of 0 and 2
    assert found.model == "cats_dogs@1"


def test_a_day_without_photos_has_no_figures(engine: Engine) -> None:
    found = day_figures(engine, *DAY)
    assert (found.answered, found.failed, found.model, found.size.values) == (0, 0, None, 0)


def test_a_correction_changes_no_figure(ledger: Ledger, engine: Engine) -> None:
    fill(ledger)
    before = day_figures(engine, *DAY)
    move = ledger.begin_move(2, "correct", b"/sorted/cats/2", "cats", "cat", "me", NOON)
    ledger.finish_move(move.id, NOON)
    assert day_figures(engine, *DAY) == before


def test_a_day_is_looked_up_by_an_index(ledger: Ledger, engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("plans of SQLite")
    fill(ledger)
    steps = plans(engine, lambda: day_figures(engine, *DAY))
    searches = [step for step in steps if "files" in step]
    assert searches and all("ix_files_seen_at" in step for step in searches), steps


def test_photos_that_a_person_deleted_change_no_figure(ledger: Ledger, engine: Engine) -> None:
    """People clear out what is uncertain or failed: the days before would have none of it."""
    fill(ledger)
    before = day_figures(engine, *DAY)
    assert before.answered == 3
    gone = [HandMove(id, "remove", "filed", path, path, "me") for id, path in _paths(engine, 2, 4)]
    assert record(engine, gone, NOON) == {2, 4}
    after = day_figures(engine, *DAY)
    assert after == replace(before, confidence=after.confidence, size=after.size)
    assert after.confidence == pytest.approx(before.confidence)
    assert after.size == pytest.approx(before.size)


def _paths(engine: Engine, *ids: int) -> list[tuple[int, bytes]]:
    with engine.connect() as connection:
        found = connection.execute(select(files.c.id, files.c.path).where(files.c.id.in_(ids)))
        return [(row.id, row.path) for row in found]
