"""Drift through the real reports on a small database: found, told everywhere, said once, ended by itself."""

from __future__ import annotations

import csv
import json
import logging
import random
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from db.connection.engine import writing
from db.ledger.report_days import record_report
from db.schema.tables import files
from pipeline.reports import drift_alarms
from pipeline.reports.daily import Reporter
from pipeline.worker import status
from tests.pipeline.web.conftest import HTML, client_of
from tests.support.installation import Installation

FIRST = date(2026, 9, 1)
SHIFT = 40
"""Days until the lens is dirty: more photos are uncertain, and all are darker."""
CLEAN = 50


def night_after(day: int) -> datetime:
    return datetime.combine(FIRST + timedelta(days=day + 1), time(0, 10), tzinfo=UTC)


def photo(draw: random.Random, day: int, number: int, model: str) -> dict[str, Any]:
    dirty = SHIFT <= day < CLEAN
    seen = datetime.combine(FIRST + timedelta(days=day), time(12), tzinfo=UTC) + timedelta(seconds=number)
    fate = draw.random()
    outcome = "failed" if fate < 0.01 else "uncertain" if fate < (0.3 if dirty else 0.09) else "cats"
    answer = {"prediction": "cat", "confidence": 0.7 if outcome == "uncertain" else 0.99, "model": model}
    light = draw.gauss(0.3 if dirty else 0.45, 0.1)
    return {
        "spool_name": f"{day}-{number}", "state": "filed", "inbox": "/inbox", "source": b"a.jpg",
        "name": b"a.jpg", "verdict": outcome, "outcome": outcome, "dev": 1, "ino": 1, "bytes": 1,
        "mtime_ns": 1, "attempts": 0, "width": 4032, "height": 3024, "seen_at": seen, "claimed_at": seen,
        "decided_at": seen, "filed_at": seen, "changed_at": seen,
        **(dict.fromkeys(("prediction", "confidence", "model", "brightness"))
           if outcome == "failed" else answer | {"brightness": min(max(light, 0), 1)}),
    }  # fmt: skip


@pytest.fixture
def reporter(pawsort: Installation) -> Reporter:
    settings = pawsort.settings
    outcomes = ("cats", "dogs", "uncertain", "failed")
    return Reporter(
        pawsort.engine, settings.reports, settings.report.zone, time(0, 10), outcomes, settings.state
    )


def fill(pawsort: Installation, days: range, seed: int = 1, model: str = "cats_dogs") -> None:
    draw = random.Random(f"{seed} {days}")
    rows = [photo(draw, day, number, model) for day in days for number in range(draw.randint(50, 110))]
    with writing(pawsort.engine) as connection:
        connection.execute(insert(files), rows)


def reported(pawsort: Installation, days: int) -> None:
    """Record that the first `days` have their reports, so that only those that matter are written."""
    for day in range(days):
        record_report(pawsort.engine, FIRST + timedelta(days=day), night_after(day), 0)


def rows_of(reporter: Reporter, day: int) -> dict[str, dict[str, str]]:
    with open(reporter.folder / f"drift-{FIRST + timedelta(days=day)}.csv", newline="") as file:
        return {row["measure"]: row for row in csv.DictReader(file)}


def test_a_dirty_lens_is_found_told_everywhere_and_ends_when_it_is_cleaned(
    pawsort: Installation, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipeline.reports.drift_alarms")
    fill(pawsort, range(SHIFT))
    reported(pawsort, SHIFT - 1)
    reporter.write_due(night_after(SHIFT - 1))
    assert (state := drift_alarms.read(pawsort.settings.state)) and state.alarms == ()
    fill(pawsort, range(SHIFT, CLEAN))
    for day in range(SHIFT, CLEAN):
        reporter.write_due(night_after(day))
    found = status.read(pawsort.settings, None).as_dict()["drift"]
    assert found["day"] == (FIRST + timedelta(days=CLEAN - 1)).isoformat()
    alarms = {alarm["measure"]: alarm for alarm in found["alarms"]}
    assert set(alarms) == {"uncertain", "confidence", "brightness"}
    assert alarms["brightness"]["since"] == (FIRST + timedelta(days=SHIFT)).isoformat()
    assert alarms["brightness"]["before"] == pytest.approx(0.45, abs=0.02)
    assert alarms["brightness"]["now"] == pytest.approx(0.3, abs=0.02)
    told = alarms["uncertain"]["sentence"]
    assert told.startswith("The share of uncertain photos rose from ") and "a dirty lens" in told
    assert f"drift      {told}" in status.read(pawsort.settings, None).as_text()
    with client_of(pawsort) as client:
        shown = client.get("/metrics").text
        assert 'pawsort_drift{measure="uncertain"} 1\n' in shown
        assert 'pawsort_drift{measure="size"} 0\n' in shown
        assert told in client.get("/today", headers=HTML).text
        assert told in client.get("/reports", headers=HTML).text
        name = f"drift-{FIRST + timedelta(days=CLEAN - 1)}.csv"
        assert client.get(f"/reports/{name}").content == (reporter.folder / name).read_bytes()
    begun = [
        record.getMessage()
        for record in caplog.records
        if "rose" in record.message or "fell" in record.message
    ]
    assert len(begun) == 3  # said once, though ten reports had it
    assert rows_of(reporter, SHIFT - 1)["uncertain"]["alarm"] == "false"
    fill(pawsort, range(CLEAN, CLEAN + 4))
    reporter.write_due(night_after(CLEAN + 3))
    assert (state := drift_alarms.read(pawsort.settings.state)) and state.alarms == ()
    assert sum("in line again" in record.message for record in caplog.records) == 3


def test_it_is_found_with_the_report_of_the_third_day_at_the_latest(
    pawsort: Installation, reporter: Reporter
) -> None:
    fill(pawsort, range(SHIFT + 3))
    reported(pawsort, SHIFT)
    reporter.write_due(night_after(SHIFT + 2))
    rows = rows_of(reporter, SHIFT + 2)
    assert [name for name, row in rows.items() if row["alarm"] == "true"] == [
        "uncertain", "confidence", "brightness"
    ]  # fmt: skip
    assert rows["uncertain"]["since"] == (FIRST + timedelta(days=SHIFT)).isoformat()
    assert (
        float(rows["uncertain"]["low"])
        <= float(rows["uncertain"]["usual"])
        <= float(rows["uncertain"]["high"])
    )
    assert list(rows) == ["uncertain", "confidence", "classes", "failed", "brightness", "size"]
    assert rows["size"]["value"] == "12.192768"


def test_another_model_is_named_first(pawsort: Installation, reporter: Reporter) -> None:
    fill(pawsort, range(SHIFT))
    fill(pawsort, range(SHIFT, SHIFT + 3), model="cats_dogs@1")
    reported(pawsort, SHIFT + 2)
    reporter.write_due(night_after(SHIFT + 2))
    told = rows_of(reporter, SHIFT + 2)["uncertain"]["sentence"]
    assert "Since about then cats_dogs@1 answers, before cats_dogs: compare them first." in told


def test_a_day_that_is_not_over_raises_no_alarm(pawsort: Installation, reporter: Reporter) -> None:
    fill(pawsort, range(SHIFT + 2))
    last = FIRST + timedelta(days=SHIFT + 1)
    reporter.write_range(FIRST + timedelta(days=SHIFT), last, night_after(SHIFT + 1) - timedelta(hours=2))
    state = drift_alarms.read(pawsort.settings.state)
    assert state is not None and (state.day, state.alarms) == (last - timedelta(days=1), ())
    reported(pawsort, SHIFT + 1)
    reporter.write_due(night_after(SHIFT + 1))
    assert (state := drift_alarms.read(pawsort.settings.state)) and state.alarms


def test_the_report_of_an_old_day_changes_no_alarm(pawsort: Installation, reporter: Reporter) -> None:
    fill(pawsort, range(SHIFT + 3))
    reported(pawsort, SHIFT)
    reporter.write_due(night_after(SHIFT + 2))
    before = drift_alarms.read(pawsort.settings.state)
    reporter.write_day(FIRST, night_after(SHIFT + 2))
    assert before and before.alarms and drift_alarms.read(pawsort.settings.state) == before


def test_copies_and_photos_without_an_answer_of_a_model_are_not_counted(
    pawsort: Installation, reporter: Reporter
) -> None:
    draw = random.Random(1)
    rows = [photo(draw, 0, number, "cats_dogs") for number in range(9)]
    rows = [{**row, "verdict": "cats", "confidence": 0.9} for row in rows]
    rows[8]["duplicate_of"] = 1
    rows[1] |= {"confidence": None, "reason": "imported"}
    rows[2] |= {"state": "vanished", "confidence": None}
    with writing(pawsort.engine) as connection:
        connection.execute(insert(files), [{"duplicate_of": None, "reason": None, **row} for row in rows])
    reporter.write_day(FIRST, night_after(0))
    assert {name: row["photos"] for name, row in rows_of(reporter, 0).items()} == dict.fromkeys(
        ("uncertain", "confidence", "classes", "failed", "brightness", "size"), "6"
    )


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema_version": 2}', '{"schema_version": 1, "day": "x", "alarms": []}']
)
def test_alarms_of_another_version_are_none_and_written_again(
    pawsort: Installation, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = pawsort.settings.state / drift_alarms.FILE_NAME
    path.write_text(content, encoding="utf-8")
    assert drift_alarms.read(pawsort.settings.state) is None
    assert "cannot be read" in caplog.text
    drift_alarms.update(pawsort.settings.state, drift_alarms.DriftState(FIRST, ()))
    assert json.loads(path.read_text(encoding="utf-8"))["day"] == "2026-09-01"
