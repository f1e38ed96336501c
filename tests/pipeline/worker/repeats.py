"""Steps of the tests of repeated content, and the check that all views agree."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from db.connection.engine import open_database
from db.queries import browse, listing, review
from models.bundle.bundle import Bundle
from pipeline.corrections import correct_undo_retry
from pipeline.doctor.check import examine
from pipeline.reports.daily import Reporter
from tests.support.installation import Installation
from tests.support.oracle import conserved
from tests.support.stub_classifier import BUNDLE, StubClassifier

OTHER = replace(BUNDLE, name="other", sha256="1" * 64)


def come_back(pawsort: Installation, path: str, name: str | None = None) -> None:
    """Move a filed file into the inbox by hand, as the documentation says."""
    inbox = pawsort.settings.inboxes[0]
    os.rename(pawsort.settings.sorted / path, inbox / (name or os.path.basename(path)))


def change(pawsort: Installation, **settings: Any) -> None:
    pawsort.settings = pawsort.settings.model_copy(update=settings)


def live(pawsort: Installation, bundle: Bundle = BUNDLE) -> list[bytes]:
    """One life of a worker with `bundle`; return the paths that the classifier was given."""
    seen: list[bytes] = []
    classifier = StubClassifier()
    submit = classifier.submit
    classifier.submit = lambda items: (seen.extend(path for _, path in items), submit(items))[1]  # type: ignore
    pawsort.run_worker(classifier, bundle)
    conserved(pawsort.settings, pawsort.injected)
    agree(pawsort)
    return seen


@contextmanager
def database(pawsort: Installation) -> Iterator[Engine]:
    engine = open_database(pawsort.settings.database_url, "write")
    yield engine
    engine.dispose()


def correct(pawsort: Installation, path: str, label: str) -> None:
    with database(pawsort) as engine:
        file = os.fsencode(pawsort.settings.sorted / path)
        [change] = correct_undo_retry.correct(engine, pawsort.settings, [file], label, "ann", BUNDLE.folders)
    assert change.problem is None


def undo(pawsort: Installation, path: str) -> None:
    with database(pawsort) as engine:
        [change] = correct_undo_retry.undo(
            engine, pawsort.settings, "ann", [os.fsencode(pawsort.settings.sorted / path)]
        )
    assert change.problem is None


def agree(pawsort: Installation) -> None:
    """Counts, `query`, Browse, Review, the reports and `doctor` say what lies in the folders."""
    tree: dict[str, int] = {}
    for path in pawsort.sorted():
        outcome = path.split("/")[0]
        tree[outcome] = tree.get(outcome, 0) + 1
    with database(pawsort) as engine:
        counted = {o: n for o, n in listing.counts(engine).items() if o not in ("waiting", "undone")}
        assert counted == tree
        rows = [row for row in listing.results(engine) if row["outcome"]]
        assert len({row["path"] for row in rows}) == len(rows) == sum(tree.values())
        _, pages = browse.first_page(engine, browse.Choice(), list(tree))
        assert pages.by_outcome == tree
        assert sum(review.left(engine).values()) <= tree.get("uncertain", 0)
        report = Reporter(
            engine, pawsort.settings.reports, ZoneInfo("UTC"), dt.time(0, 10), ("cats", "dogs", "uncertain")
        ).write_day(dt.datetime.now(dt.UTC).date(), dt.datetime.now(dt.UTC))
        assert report.reconciles
        assert {o: n for o, n in report.counts.items() if n and o not in ("waiting", "undone")} == tree
        found = [problem for problem in examine(engine, pawsort.settings) if problem.kind != "folder"]
        assert [(p.kind, p.path) for p in found if p.kind != "unfinished"] == []


def deleted(pawsort: Installation) -> None:
    os.unlink(pawsort.settings.sorted / "dogs/a.jpg")
    pawsort.injected.pop()
