"""Time the queries of `pawsort query` on many rows: by outcome, day, confidence and name."""

from __future__ import annotations

import datetime as dt
import statistics
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.rows import LAST, fill
from db.connection.engine import open_database, upgrade
from db.queries.listing import ResultFilter, results
from db.queries.search.folder_search import WantedFolder

_DAY = LAST - dt.timedelta(days=31)
_TAKEN = dt.datetime(2024, 1, 31)
FILTERS = {
    "the newest": ResultFilter(),
    "an outcome": ResultFilter(outcome="uncertain"),
    "failures": ResultFilter(outcome="failed"),
    "one day": ResultFilter(since=_DAY, until=_DAY + dt.timedelta(days=1)),
    "an outcome on one day": ResultFilter(outcome="cats", since=_DAY, until=_DAY + dt.timedelta(days=1)),
    "a confidence that many have": ResultFilter(min_confidence=0.985),
    "a range that many have": ResultFilter(min_confidence=0.985, max_confidence=1.0),
    "a confidence that few have": ResultFilter(min_confidence=0.4, max_confidence=0.41),
    "a confidence that none has": ResultFilter(min_confidence=0.1, max_confidence=0.2),
    "a folder of many": ResultFilter(folder=WantedFolder("holiday", True)),
    "a folder of few": ResultFilter(folder=WantedFolder("/photos/inbox1/rome", True)),
    "a folder that none has": ResultFilter(folder=WantedFolder("/photos/sorted/cats/x", True)),
    "a year of the camera": ResultFilter(taken_since=_TAKEN, taken_until=_TAKEN + dt.timedelta(days=365)),
    "a day of the camera": ResultFilter(taken_since=_TAKEN, taken_until=_TAKEN + dt.timedelta(days=1)),
    "a name that many have": ResultFilter(name="img"),
    "a name that few have": ResultFilter(name="rex"),
    "a name that none has": ResultFilter(name="zanzibar"),
}


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the milliseconds that the first twenty rows of each question take, the median of five."""
    url = f"sqlite:///{folder}/pawsort.db"
    upgrade(url)
    engine = open_database(url, "write")
    fill(engine, count)
    figures = {}
    for name, filters in FILTERS.items():
        twenty = replace(filters, limit=20)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            list(results(engine, twenty))
            times.append(1000 * (time.perf_counter() - began))
        figures[f"{name}, ms"] = round(statistics.median(times), 1)
    engine.dispose()
    return figures
