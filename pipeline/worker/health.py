"""How well the worker is: what keeps it from going on is red, what only hampers it is degraded."""

from __future__ import annotations

from pipeline.reports.schedule import ReportSchedule
from pipeline.worker.heartbeat import Health
from pipeline.worker.loop import Worker

MOST_FOLDERS = 5
"""How many folders that refuse files are named; the log has them all."""

LONG_WAL_BYTES = 256 << 20
"""A -wal of this size was kept from being emptied for long; usually it has some 4 MB."""


def health_of(worker: Worker, agenda: ReportSchedule, wal_bytes: int) -> tuple[Health, tuple[str, ...]]:
    """Return the health of a worker, and a reason for each thing that is not as it should be."""
    statuses = [inbox.status() for inbox in worker.inboxes]
    red = [worker.trouble] if worker.trouble else []
    red += [f"{s.path}: {s.note}" for s in statuses if s.state == "missing"]
    red += worker.unfiled[:MOST_FOLDERS]
    if worker.missing:
        red.append(f"{worker.missing} files are gone from the spool; see `pawsort doctor`")
    degraded = [f"{s.path}: {s.note}" for s in statuses if s.degraded and s.state != "missing"]
    degraded += [refusal for status in statuses for refusal in status.refusals[:MOST_FOLDERS]]
    degraded += [f"{s.path}: some folders cannot be listed; see the log" for s in statuses if s.unlisted]
    if agenda.problem:
        degraded.append(f"reports: {agenda.problem}")
    if wal_bytes > LONG_WAL_BYTES:
        grown = f"the database's -wal has grown to {wal_bytes >> 20} MB"
        degraded.append(f"{grown}: some program has been reading for long; end it")
    health: Health = "red" if red else "degraded" if degraded else "ok"
    return health, (*red, *degraded)
