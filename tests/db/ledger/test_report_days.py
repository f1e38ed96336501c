"""The days whose reports were written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from db.ledger.report_days import record_report
from db.queries.listing import Report, written_reports
from tests.db.conftest import NOON, later


def test_a_day_that_is_written_again_has_the_last_moment(engine: Engine) -> None:
    record_report(engine, NOON.date(), NOON, 3)
    record_report(engine, NOON.date(), later(1), 0)
    assert written_reports(engine) == [Report(NOON.date(), later(1), 0)]


def test_machines_may_write_the_reports_of_a_day_at_once(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: record_report(engine, NOON.date(), later(number), 0), range(40)))
    assert [report.day for report in written_reports(engine)] == [NOON.date()]
