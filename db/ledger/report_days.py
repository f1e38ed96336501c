"""Record for which days the reports were written."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Engine, bindparam, text

from db.connection.engine import writing
from db.schema.tables import reports

# One statement: on a shared database, a person may write the reports of a day while a worker does.
_RECORD = text(
    "INSERT INTO reports (day, written_at, waiting) VALUES (:day, :written_at, :waiting) ON CONFLICT (day) "
    "DO UPDATE SET written_at = excluded.written_at, waiting = excluded.waiting"
).bindparams(*(bindparam(column.name, type_=column.type) for column in reports.c))


def record_report(engine: Engine, day: date, written_at: datetime, waiting: int) -> None:
    """Record that the reports of `day` were written at `written_at`, with this number of waiting files."""
    with writing(engine) as connection:
        connection.execute(_RECORD, {"day": day, "written_at": written_at, "waiting": waiting})
