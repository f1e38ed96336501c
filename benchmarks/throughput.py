"""Measure photos a second from a full inbox to all filed; compare with the limit and with simple programs."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from benchmarks import photos, rivals, writing
from benchmarks.apart import apart
from benchmarks.limit import Limit, around
from pipeline.classifier.client import ProcessClassifier, classify_files
from pipeline.classifier.configured_model import load_bundle, worker_classifier
from pipeline.classifier.messages import Item
from pipeline.service import service
from pipeline.settings import config


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return rates in photos a second, and their ratios; the durable settings are on."""
    paths = photos.make(folder / "photos", count)
    ((filed, cores), answered), most = around(paths, lambda: _worker_and_classifier(folder, paths))
    keras, single = apart(rivals.both, paths, folder / "moved")
    with_crops = most.with_crops
    return {
        "reading and decoding alone, photos/s": round(most.decoding, 1),
        "inference alone, photos/s": round(most.inference, 1),
        "photos predicted again in crops, share": round(most.again, 3),
        "limit of the machine without multi-crop, photos/s": round(most.without_crops, 1),
        "limit of the machine, photos/s": round(with_crops, 1),
        "classifier alone, from paths to answers, photos/s": round(answered, 1),
        "worker, from a full inbox to all filed, photos/s": round(filed, 1),
        "Keras script, photos/s": round(keras, 1),
        "one image a call, photos/s": round(single, 1),
        "classifier alone / limit": round(answered / with_crops, 3),
        "worker / limit": round(filed / with_crops, 3),
        "worker / limit without multi-crop": round(filed / most.without_crops, 3),
        "core time of decoding and network / core time of the worker": round(most.core_seconds / cores, 3),
        **{f"{name}{writing.SLICE}": round(1000 * cost, 2) for name, cost in _slices(most, cores).items()},
        "worker / Keras script": round(filed / keras, 2),
        "worker / one image a call": round(filed / single, 1),
    }


def _worker_and_classifier(folder: Path, paths: Sequence[bytes]) -> tuple[tuple[float, float], float]:
    filed: tuple[float, float] = apart(filing_rate, folder / "worker", len(paths), photos.SMALL)
    return filed, apart(answering_rate, folder, paths)


def _slices(most: Limit, cores: float) -> dict[str, float]:
    """Say where the core time of a photo goes, in seconds."""
    return {
        "reading, decoding, resizing": most.decoding_cost,
        "the network": most.inference_cost,
        "multi-crop: larger photos, detector, crops": most.again_cost,
        "all else: ledger, moves, passing on": max(0.0, cores - most.core_seconds),
    }


class _Watched(ProcessClassifier):
    """Notes how much core time has gone when the first batch begins and when all is done."""

    began = ended = 0.0

    def submit(self, items: Sequence[Item]) -> None:
        self.began = self.began or self._core_seconds()
        super().submit(items)

    def stop(self) -> None:
        self.ended = self._core_seconds()
        super().stop()

    def _core_seconds(self) -> float:
        return sum(core_seconds(pid) for pid in (os.getpid(), self.pid) if pid)


def core_seconds(pid: int) -> float:
    """Return the core time that a process has had, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def filing_rate(
    folder: Path, count: int, side: int, action: str = "move", more: str = ""
) -> tuple[float, float]:
    """Let a real worker file that many photos, counted from the first claim to the last commit.

    Those in the inbox if there are some. `more` is YAML of further settings. Returns photos a second, and
    seconds of core time a photo.
    """
    if not (folder / "inbox").exists():
        photos.make(folder / "inbox", count, side)
    settings = _defaults(folder, f"filing: {{action: {action}}}\n{more}")
    bundle = load_bundle(settings)
    classifier = worker_classifier(settings, bundle, _Watched)
    assert isinstance(classifier, _Watched)
    service.run(settings, once=True, classifier=classifier)
    with sqlite3.connect(settings.state / "pawsort.db") as database:
        first, last, filed = database.execute(
            "SELECT min(claimed_at), max(filed_at), count(*) FROM files WHERE state = 'filed'"
        ).fetchone()
    assert filed == count, f"{filed} of {count} filed"
    seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    return count / seconds, (classifier.ended - classifier.began) / count


def answering_rate(folder: Path, paths: Sequence[bytes]) -> float:
    """Return photos a second of the worker's classifier without the worker: no ledger, and nothing moved."""
    settings = _defaults(folder)
    classifier = worker_classifier(settings, load_bundle(settings))
    try:
        while not classifier.ready(1.0):
            pass
        began = time.perf_counter()
        answers = list(classify_files(classifier, paths, settings.batch.size))
        seconds = time.perf_counter() - began
    finally:
        classifier.stop()
    assert all(finding.scores for finding in answers), "a photo without an answer"
    return len(answers) / seconds


def _defaults(folder: Path, text: str = "") -> config.Settings:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return config.load(folder / "config.yaml")
