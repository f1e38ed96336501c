"""The workers of a database, as `pawsort workers` lists them and lets one take the place of another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from db.queries.workers import all_workers, running_workers
from pipeline.files.permissions import make_folder
from pipeline.settings.config import Settings
from pipeline.worker.identity import own_id, take_over
from pipeline.worker.locks import holder, worker_lock


def listed(engine: Engine, settings: Settings) -> list[dict[str, Any]]:
    """Return the workers that have ever started, in the order in which they came to the database.

    `runs` is whether a process holds the worker's lock now. Raises DatabaseError, SettingsError, OSError.
    """
    mine, running = own_id(engine, settings), running_workers(engine)
    if running is None:
        running = {mine} if holder(settings.state) else set()
    return [
        {
            "id": worker.id,
            "name": worker.name,
            "runs": worker.id in running,
            "here": worker.id == mine,
            "started_at": worker.started_at,
            "beat_at": worker.beat_at,
            "stopped_at": worker.stopped_at,
            "address": worker.address,
        }
        for worker in all_workers(engine)
    ]


def replace(engine: Engine, settings: Settings, name: str) -> None:
    """Let the worker of these settings take the place of the worker `name`; see `identity.take_over`.

    Raises LockError while a worker runs here, and as `take_over`.
    """
    settings.state.parent.mkdir(parents=True, exist_ok=True)
    make_folder(settings.state)
    with worker_lock(settings):
        take_over(engine, settings, name)
