"""Whose a file is, and whether its owner gives signs of life."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Engine

from db.queries import requests
from db.queries.workers import SILENT_SECONDS, KnownWorker, all_workers

SILENT = timedelta(seconds=SILENT_SECONDS)
"""A worker whose last sign of life is older is called silent."""

UNNAMED = "the worker of this database, which has not started yet"


def others_of(engine: Engine, own: int, ids: Collection[int]) -> dict[int, int]:
    """Return which of these files are of another worker than `own`, each with its worker; none on SQLite.

    Raises DatabaseError.
    """
    return {id: worker for id, worker in requests.owners(engine, ids).items() if worker != own}


def known_workers(engine: Engine) -> dict[int, KnownWorker]:
    """Return the workers by id; none on SQLite, which has one. Raises DatabaseError."""
    return {} if requests.has_one_owner(engine) else {worker.id: worker for worker in all_workers(engine)}


def name_of(worker: KnownWorker | None) -> str:
    """Return the name of a worker for a message."""
    return worker.name if worker else UNNAMED


def trouble_of(worker: KnownWorker | None, now: datetime) -> str | None:
    """Return why a worker does not answer at `now`, None if it gives signs of life."""
    if worker is None:
        return "has not started yet"
    if worker.stopped_at is not None:
        return f"is stopped since {_said(worker.stopped_at)}"
    last = max(filter(None, (worker.beat_at, worker.started_at)), default=None)
    if last is None or now - last > SILENT:
        return f"is silent since {_said(last)}" if last else "has not started yet"
    return None


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
