"""Photos a second from a full inbox to all filed, beside what decoding and inference alone would allow."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks import photos
from models.bundle import load
from models.engines import open_engine
from models.images import decode
from pipeline import config, service
from pipeline.inference import usable_cpus

BATCH = 64
CALLS_OF_ONE = 50


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return rates in photos a second, and their ratios; the durable settings are on."""
    paths = photos.make(folder / "inbox", count)
    bundle = load(Path(config.__file__).parents[1] / "models" / "cats_dogs")
    engine = open_engine(bundle, "auto", usable_cpus())
    size = bundle.input_size

    def read(path: bytes) -> np.ndarray:
        with open(path, "rb") as file:
            return decode(file.read(), size)

    with ThreadPoolExecutor(usable_cpus()) as pool:
        began = time.perf_counter()
        images = np.stack(list(pool.map(read, paths)))
        decoding = count / (time.perf_counter() - began)
    began = time.perf_counter()
    for start in range(0, count, BATCH):
        engine.predict(images[start : start + BATCH])
    inference = count / (time.perf_counter() - began)
    began = time.perf_counter()
    for path in paths[:CALLS_OF_ONE]:
        engine.predict(read(path)[None])
    one_a_call = CALLS_OF_ONE / (time.perf_counter() - began)

    end_to_end = _end_to_end(folder, count)
    limit = 1 / (1 / decoding + 1 / inference)
    return {
        "decoding_per_second": round(decoding, 1),
        "inference_per_second": round(inference, 1),
        "one_a_call_per_second": round(one_a_call, 1),
        "end_to_end_per_second": round(end_to_end, 1),
        "share_of_the_limit": round(end_to_end / limit, 3),
        "times_one_a_call": round(end_to_end / one_a_call, 2),
    }


def _end_to_end(folder: Path, count: int) -> float:
    """File everything with a real worker; count from the first claim to the last commit."""
    (folder / "config.yaml").write_text("", encoding="utf-8")
    settings = config.load(folder / "config.yaml")
    service.run(settings, once=True)
    with sqlite3.connect(settings.state / "pawsort.db") as database:
        first, last, filed = database.execute(
            "SELECT min(claimed_at), max(filed_at), count(*) FROM files WHERE state = 'filed'"
        ).fetchone()
    assert filed == count, f"{filed} of {count} filed"
    return float(count / (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds())
