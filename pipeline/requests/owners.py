"""Whose a file is, and whether its owner gives signs of life."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Engine

from db.queries import requests
from db.queries.workers import KnownWorker, all_workers

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


def trouble_of(worker: KnownWorker | None) -> str | None:
    """Return why a worker does not answer, None if it gives signs of life."""
    if worker is None:
        return "has not started yet"
    if worker.retired_at is not None:
        return f"was retired at {_said(worker.retired_at)}"
    if worker.stopped_at is not None:
        return f"is stopped since {_said(worker.stopped_at)}"
    last = worker.last_sign_at
    if last is None:
        return "has not started yet"
    return f"is silent since {_said(last)}" if worker.is_silent else None


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
