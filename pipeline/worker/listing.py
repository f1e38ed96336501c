"""The workers of a database, as `pawsort workers` lists them and lets one take the place of another."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Engine

from db.connection.errors import DatabaseReserved
from db.ledger import workers as ledger
from db.queries.workers import SILENT_SECONDS, all_workers, running_workers
from pipeline.files.permissions import make_folder
from pipeline.settings.config import Settings
from pipeline.worker.identity import known_worker, own_id, take_over
from pipeline.worker.locks import holder, worker_lock

log = logging.getLogger(__name__)


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
            "retired_at": worker.retired_at,
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


def retire(engine: Engine, name: str) -> None:
    """Record that the machine of the worker `name` is gone for good, and end the requests to it.

    It is no longer silent, its files stay recorded as its own, and it is back once it starts again. Raises
    DatabaseReserved while it is alive, SettingsError if there is no such worker, DatabaseError.
    """
    worker = known_worker(engine, name)
    if worker.id in (running_workers(engine) or ()):
        raise DatabaseReserved(
            f"the worker {name!r} runs; stop it first. If its machine has just lost its power, the server "
            "notices that within 40 seconds"
        )
    ended = ledger.retire(engine, worker.id, SILENT_SECONDS)
    if ended is None:
        raise DatabaseReserved(
            f"the worker {name!r} gave a sign of life in the last {SILENT_SECONDS:.0f} seconds; if it is "
            "gone for good, try again then"
        )
    log.info("%s is retired; requests to it that were open: %d", name, ended)
