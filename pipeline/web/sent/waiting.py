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
    workers = context.workers()
    waiting = []
    for id, count in requests.count_open(engine).items():
        worker, first = workers.get(id), requests.open_requests(engine, SHOWN, id)
        waiting.append(Waiting(name_of(worker), count, trouble_of(worker), first))
    return Sent(waiting, requests.refused_within(engine, LATELY))
