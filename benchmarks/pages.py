"""Measure the time of each page and of its queries; `--photos 1000000` makes a million rows."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from benchmarks.rows import LAST, fill
from benchmarks.visits import ADDRESSES, forget, serving, visit
from db.connection.engine import open_database, upgrade
from db.queries import browse, listing, overview, review
from db.queries.browse import Choice, Mark
from db.queries.search.folder_search import WantedFolder

OUTCOMES = ("cats", "dogs", "uncertain", "failed")
_DAY = dt.timedelta(days=1)
_DAYS = [(LAST - number * _DAY, LAST - (number - 1) * _DAY) for number in range(14)]
_TAKEN = dt.datetime(2024, 1, 31)
_LONG_AGO = Mark(LAST - 350 * _DAY, 10**9)


def _page(after: Mark | None = None, **choice: Any) -> Callable[[Engine], Any]:
    return lambda engine: browse.page(engine, Choice(**choice), after)


def _first(**choice: Any) -> Callable[[Engine], Any]:
    return lambda engine: browse.first_page(engine, Choice(**choice), OUTCOMES)


def _queue(engine: Engine, order: review.Order) -> Any:
    groups = list(review.left(engine))
    first = review.queue(engine, groups, order, size=30)
    return review.queue(engine, groups, order, review.spot_of(first[-1]), size=30)


QUESTIONS: dict[str, Callable[[Engine], Any]] = {
    "the newest, counted": _first(),
    "an outcome, a year back": _page(_LONG_AGO, outcome="cats"),
    "all, a year back": _page(_LONG_AGO),
    "one day, counted": _first(since=LAST - 31 * _DAY, until=LAST - 30 * _DAY),
    "failures of a reason": _page(outcome="failed", reason="truncated"),
    "one inbox, counted": _first(inbox="/photos/inbox1"),
    "confidences that are nowhere": _page(min_confidence=0.1, max_confidence=0.2),
    "a rare name, counted": _first(name="rex"),
    "a name that nothing has": _page(name="zanzibar"),
    "a common name": _page(name="img"),
    "a folder of few, counted": _first(folder=WantedFolder("/photos/inbox1/rome", True)),
    "a folder of many": _page(folder=WantedFolder("/photos/sorted/cats", True)),
    "a day of the camera, counted": _first(taken_since=_TAKEN, taken_until=_TAKEN + dt.timedelta(days=1)),
    "a year of the camera": _page(taken_since=_TAKEN, taken_until=_TAKEN + dt.timedelta(days=365)),
    "corrected": _page(corrected=True),
    "what is left to review": review.left,
    "review, unsure first": lambda engine: _queue(engine, "unsure"),
    "review, alike": lambda engine: _queue(engine, "alike"),
    "what was settled": review.settled,
    "14 days": lambda engine: overview.by_day(engine, _DAYS, OUTCOMES),
    "failures by reason": overview.failures,
    "confidences": lambda engine: overview.histogram(engine, 20),
    "one file": lambda engine: overview.history(engine, 777),
    "last file": listing.last_filed,
    "counts": listing.counts,
    "query of an outcome": lambda engine: list(
        listing.results(engine, listing.ResultFilter(outcome="uncertain", limit=20))
    ),
}
"""What pages ask of the database."""


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the milliseconds of each question and each page, out of `count` rows.

    A question is the median of five. A page goes by the clock of its visitor: cold is the first time, by a
    server that has shown no such page yet, with nothing of the database in the kernel's memory; warm is the
    median of five more.
    """
    (folder / "config.yaml").write_text("", encoding="utf-8")
    (folder / "state").mkdir()
    database = folder / "state" / "pawsort.db"
    url = f"sqlite:///{database}"
    upgrade(url)
    engine = open_database(url, "write")
    fill(engine, count)
    figures = {name: _milliseconds(lambda ask=ask: ask(engine)) for name, ask in QUESTIONS.items()}  # type: ignore[misc]
    engine.dispose()
    for _, addresses in itertools.groupby(ADDRESSES, lambda address: address.partition("?")[0]):
        with serving(folder) as port:
            for address in addresses:
                forget(database)
                cold, _ = visit(port, address)
                warm = statistics.median(visit(port, address)[0] for _ in range(5))
                figures |= {f"GET {address}, cold": round(cold, 1), f"GET {address}, warm": round(warm, 1)}
    for kind in ("cold", "warm"):
        slowest = max((name for name in figures if name.endswith(kind)), key=figures.__getitem__)
        figures[f"the slowest page, {kind}: {slowest}"] = figures[slowest]
    return figures


def _milliseconds(ask: Callable[[], Any]) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times), 1)
