"""The requests that wait for other machines, and those that were refused lately, for the page Review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from db.queries import requests
from db.queries.requests import Request
from pipeline.requests.owners import name_of, trouble_of
from pipeline.web.services.context import AppContext

SHOWN = 20
"""Requests that are listed of each worker."""

MOST = 200

LATELY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The requests that wait for a worker; `trouble` says why it does not answer, if it does not."""

    owner: str
    count: int
    trouble: str | None
    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class Sent:
    """Requests that wait, and requests that were refused lately."""

    waiting: Sequence[Waiting] = ()
    refused: Sequence[Request] = ()


NOTHING = Sent()


def of(engine: Engine, context: AppContext) -> Sent:
    """Return the requests to show; none on SQLite. Raises DatabaseError."""
    counts = requests.count_open(engine)
    first = requests.open_requests(engine, MOST) if counts else []
    workers = context.workers()
    waiting = []
    for id, count in counts.items():
        worker = workers.get(id)
        of_worker = [request for request in first if request.worker_id == id][:SHOWN]
        waiting.append(Waiting(name_of(worker), count, trouble_of(worker), of_worker))
    return Sent(waiting, requests.refused_within(engine, LATELY))
