"""Record for which days the reports were written."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Engine, delete, insert

from db.connection.engine import writing
from db.schema.tables import reports


def record_report(engine: Engine, day: date, written_at: datetime, waiting: int) -> None:
    """Record that the reports of `day` were written at `written_at`, with this number of waiting files."""
    with writing(engine) as connection:
        connection.execute(delete(reports).where(reports.c.day == day))
        connection.execute(insert(reports), [{"day": day, "written_at": written_at, "waiting": waiting}])
