"""Collect all metrics for one scrape in a bounded time, whether database, folders and worker answer or not.

The pages serve them, but the counters are the worker's, read from `state/counters.json`. Times are given as
times, not as ages, as Prometheus advises: `time() - pawsort_heartbeat_timestamp_seconds`.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from db.connection.engine import schema_version
from db.connection.errors import DatabaseError
from db.queries import overview
from pipeline.settings.config import Settings
from pipeline.version import version
from pipeline.web.metrics import of_worker
from pipeline.web.metrics.bounded_calls import BoundedCalls
from pipeline.web.metrics.exposition import Metric, Sample, counter, gauge
from pipeline.web.services.context import AppContext
from pipeline.worker import counters, known_workers, status
from pipeline.worker.known_workers import WorkerSeen
from pipeline.worker.status import Status

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_SECONDS = 2.0
"""How long a scrape waits for all that may hang; Prometheus gives up after 10 s by default."""


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """Files by outcome, and moves that were done by kind."""

    files: Mapping[str, int]
    moves: Mapping[str, int]


class MonotonicCounts:
    """Counts that never fall, though the rows that they count may be deleted. Safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._shown: dict[str, int] = {}

    def follow(self, name: str, counted: int) -> int:
        """Return the count with all growth that was seen."""
        with self._lock:
            growth = max(0, counted - self._seen.get(name, 0))
            self._seen[name] = counted
            self._shown[name] = self._shown.get(name, 0) + growth
            return self._shown[name]


class Scraper:
    """Collects the metrics of one server."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._calls = BoundedCalls()
        self._moves = MonotonicCounts()

    def metrics(self) -> Iterator[Metric]:
        """Yield all metrics that are known within MOST_SECONDS."""
        settings = self._context.settings
        until = time.monotonic() + MOST_SECONDS
        ledger = self._calls.begin("database", self._count)
        worker = self._calls.begin("worker", self._read_status)
        others = self._calls.begin("workers", self._see_workers)
        counted = self._calls.begin("counters", lambda: counters.read(settings.state / counters.FILE_NAME))
        reported = self._calls.begin("reports", lambda: _written_at(settings.reports / "latest-summary.csv"))
        reachable = {
            (kind, path): self._calls.begin(path, functools.partial(_is_reachable, path))
            for kind, path in _folders(settings)
        }
        seen, workers = _result(worker, until), _result(others, until) or ()
        if seen and known_workers.another_reports(workers):
            seen = replace(seen, drift=None)
        yield _build(seen)
        yield from self._of_ledger(_result(ledger, until))
        yield from of_worker.gauges(seen)
        yield from of_worker.of_all(workers)
        yield from of_worker.counted(_result(counted, until))
        yield of_worker.moment(
            "pawsort_last_report_timestamp_seconds", _LAST_REPORT, _result(reported, until)
        )
        up = [({"kind": kind, "path": os.fspath(path)}, call) for (kind, path), call in reachable.items()]
        samples = [(labels, float(_result(call, until) is True)) for labels, call in up]
        yield gauge("pawsort_folder_up", "1 if the server can list the folder.", *samples)

    def _count(self) -> LedgerCounts:
        engine = self._context.database.reader()
        if engine:
            schema_version(engine)  # the counts may be some seconds old: they do not show that it answers
        files = status.counts_of(engine, self._context.counts)
        if engine is None:
            return LedgerCounts(files, {})
        return LedgerCounts(files, self._context.cache.get("moves", lambda: overview.move_counts(engine)))

    def _read_status(self) -> Status:
        return status.read(self._context.settings, None, "not counted")

    def _see_workers(self) -> tuple[WorkerSeen, ...]:
        return known_workers.seen(self._context.database.reader(), self._context.settings.state)

    def _of_ledger(self, found: LedgerCounts | None) -> Iterator[Metric]:
        yield gauge("pawsort_database_up", "1 if the database answers.", ({}, float(found is not None)))
        if found is None:
            return
        files: list[Sample] = [({"outcome": name}, float(count)) for name, count in found.files.items()]
        yield gauge("pawsort_files", "Files by outcome.", *files)
        for name, kind, words in _MOVES:
            count = self._moves.follow(kind, found.moves.get(kind, 0))
            yield counter(name, words, ({}, float(count)))


_LAST_REPORT = "Time of the last report of the newest day."
_MOVES = (
    ("pawsort_corrections_total", "correct", "Corrections that people made, whether undone since or not."),
    ("pawsort_undos_total", "undo", "Filings and corrections that people undid."),
)


def _build(seen: Status | None) -> Metric:
    engine = seen.beat.engine if seen and seen.beat else None
    names = {"version": _version(), "python": platform.python_version(), "engine": engine or ""}
    words = "1 for the version of Pawsort and Python that serve this, and the worker's engine."
    return gauge("pawsort_build_info", words, (names, 1.0))


@functools.cache
def _version() -> str:
    return version()


def _result(call: Future[T], until: float) -> T | None:
    """Return the result of a call; None if it fails, or has not returned at `until`."""
    try:
        return call.result(max(0.0, until - time.monotonic()))
    except (DatabaseError, OSError):  # TimeoutError is an OSError
        return None
    except Exception:
        # An unexpected error must not take the other metrics along.
        log.exception("metrics: unexpected error")
        return None


def _folders(settings: Settings) -> list[tuple[str, Path]]:
    own = [("sorted", settings.sorted), ("state", settings.state), ("reports", settings.reports)]
    return [*(("inbox", inbox) for inbox in settings.inboxes), *own]


def _is_reachable(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        next(entries, None)
    return True


def _written_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
