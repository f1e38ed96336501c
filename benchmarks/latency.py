"""Measure the seconds from closing a photo to filing it, without the settle time, at several rates."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.throughput import filing_rate
from db.connection.engine import open_database
from pipeline.classifier.client import ProcessClassifier
from pipeline.classifier.configured_model import load_bundle, worker_classifier
from pipeline.settings import config
from pipeline.worker import startup
from pipeline.worker.loop import Worker

SETTLE = config.WatchSettings().settle_seconds
RATES = {"quiet": 0.5, "at 50 a second": 50.0}
"""Photos a second; 80% of the greatest rate is measured beside these."""
_FEWEST, _LONGEST = 12, 30.0


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return p50, p95 and p99 in seconds; at each rate for as long as `count` photos last, 30 s at most."""
    greatest = apart(filing_rate, folder / "greatest", max(count // 2, 64), photos.SMALL)[0]
    figures = {"greatest rate, photos/s": round(greatest, 1)}
    for number, (name, rate) in enumerate((RATES | {"at 80% of the greatest rate": 0.8 * greatest}).items()):
        enough = max(_FEWEST, min(count, int(rate * _LONGEST)))
        waits = apart(waiting, folder / str(number), enough, rate)
        for percent in (50, 95, 99):
            figures[f"{name}, p{percent}, s"] = round(float(np.percentile(waits, percent)), 3)
    return figures


def waiting(folder: Path, count: int, rate: float) -> list[float]:
    """Drop photos into the inbox of a worker that is ready, and return what each waited after settling."""
    ready = photos.make(folder / "photos", count)
    contents = [Path(path.decode()).read_bytes() for path in ready]
    (folder / "config.yaml").write_text("", encoding="utf-8")
    settings = config.load(folder / "config.yaml")
    startup.prepare_folders(settings)
    bundle = load_bundle(settings)
    classifier = worker_classifier(settings, bundle)
    engine = open_database(settings.database_url)
    worker, closed = Worker(settings, bundle, engine, classifier), dict[str, float]()
    worker.start()
    dropper = threading.Thread(
        target=_drop, args=(settings.inboxes[0], contents, rate, classifier, closed), daemon=True
    )
    dropper.start()
    while sum(worker.outcomes.values()) < count:
        worker.step()
    worker.stop()
    engine.dispose()
    with sqlite3.connect(settings.state / "pawsort.db") as database:
        rows = database.execute("SELECT name, filed_at FROM files WHERE state = 'filed'").fetchall()
    return [datetime.fromisoformat(filed).timestamp() - closed[name] - SETTLE for name, filed in rows]


def _drop(
    inbox: Path,
    contents: list[bytes],
    rate: float,
    classifier: ProcessClassifier,
    closed: dict[str, float],
) -> None:
    while not classifier.labels:
        time.sleep(0.05)
    began = time.monotonic()
    for number, content in enumerate(contents):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        name = f"{number:06}.jpg"
        (inbox / name).write_bytes(content)
        closed[name] = time.time()
