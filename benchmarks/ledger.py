"""Measure everything but the classifier: watching, ledger, renames, syncs; its rate, and its share of time.

The share is that of the whole worker's wall time on as many photos which is neither decoding nor inference.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import harmonic_mean

from benchmarks import photos
from benchmarks.apart import apart
from benchmarks.instant import Instant
from benchmarks.limit import around, shipped
from benchmarks.throughput import filing_rate
from db.connection.engine import open_database
from pipeline.settings import config
from pipeline.worker import startup
from pipeline.worker.loop import Worker


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return files a second, and the share of a worker's time that bookkeeping is, with durable settings."""
    paths = photos.make(folder / "photos", count)
    before = apart(filing_rate_of_stub, folder / "stub", count)
    (filed, cores), most = around(paths, lambda: apart(filing_rate, folder / "worker", count, photos.SMALL))
    alone = harmonic_mean([before, apart(filing_rate_of_stub, folder / "stub again", count)])
    return {
        "bookkeeping alone, files/s": round(alone, 1),
        "worker, photos/s": round(filed, 1),
        "share of the worker's time that bookkeeping alone would take": round(filed / alone, 3),
        "share of the wall's time that is not decoding or network": round(1 - filed / most.with_crops, 3),
        "share of the core time that is not decoding or network": round(1 - most.core_seconds / cores, 3),
    }


def filing_rate_of_stub(folder: Path, count: int) -> float:
    """Return files a second with durable settings, from the first step to all filed."""
    folder.mkdir()
    text = "watch: {settle_seconds: 0, mode: polling}\nbatch: {wait_seconds: 0}\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    settings = config.load(folder / "config.yaml")
    startup.prepare_folders(settings)
    for number in range(count):
        (settings.inboxes[0] / f"{number}.jpg").write_bytes(b"%d" % number)
    bundle = shipped()
    engine = open_database(settings.database_url)
    worker = Worker(settings, bundle, engine, Instant())
    began = time.perf_counter()
    worker.start()
    while not worker.idle:
        worker.step()
    seconds = time.perf_counter() - began
    worker.stop()
    engine.dispose()
    return count / seconds
