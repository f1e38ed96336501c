"""Measure how fast `backfill load` notes photos, into a table that has a million rows already."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks import rows
from db.connection.engine import open_database, upgrade, writing
from pipeline.backfill import parts, run_file
from pipeline.backfill.load import Loading, note_all
from pipeline.backfill.parts import Mark, Part, Result
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.source import Listed
from pipeline.settings import config
from pipeline.settings.config import Settings

ROWS = 1_000_000
PART = 2_000
URL = "BENCH_POSTGRES"
"""The URL of an empty PostgreSQL database to measure too."""

_DECIDED = datetime(2026, 11, 20, 8, 30, 0, 250_000, UTC)

_KEPT = (
    "spool_name, state, inbox, verdict, outcome, prediction, confidence, reason, detail, scores, dev, ino, "
    "bytes, mtime_ns, format, width, height, taken_at, model, model_sha256, attempts, seen_at, claimed_at, "
    "decided_at, changed_at, answer_key"
)
_DOUBLE = (
    f"INSERT INTO files ({_KEPT}, source, name, path, sha256) SELECT {_KEPT}, source || :mark, "
    "name || :mark, path || :mark, md5(sha256 || :mark) || md5(:mark || sha256) FROM files LIMIT :most"
)
"""Adds as many rows as there are, with other names and contents."""


def measure(folder: Path, count: int) -> dict[str, float]:
    """Return rows a second, with durable settings, and the share of a second load that finds all done."""
    (folder / "config.yaml").write_text("", encoding="utf-8")
    settings = config.load(folder / "config.yaml")
    run = folder / "run"
    _make_run(run, settings, count)
    url = f"sqlite:///{folder}/pawsort.db"
    upgrade(url)
    engine = open_database(url)
    rows.fill(engine, ROWS)
    figures = {f"SQLite, {name}": rate for name, rate in _rates(run, settings, engine, count).items()}
    engine.dispose()
    if server := os.environ.get(URL):
        figures |= _postgres(server, run, settings, count, folder)
    else:
        print(f"not measured on PostgreSQL: {URL} names no database", file=sys.stderr)
    return figures


def _rates(run: Path, settings: Settings, engine: Engine, count: int) -> dict[str, float]:
    loading = Loading(run, settings)
    loading.answered(0)  # imports PyArrow
    began, core = time.perf_counter(), time.process_time()
    assert note_all(loading, settings, engine, engine).photos == count
    seconds, core_seconds = time.perf_counter() - began, time.process_time() - core
    began = time.perf_counter()
    assert note_all(loading, settings, engine, engine).photos == 0
    return {
        "rows/s into a million": round(count / seconds),
        "rows/s of core time of the command": round(count / core_seconds),
        "share of the time that a second load takes": round((time.perf_counter() - began) / seconds, 4),
    }


def _postgres(url: str, run: Path, settings: Settings, count: int, folder: Path) -> dict[str, float]:
    upgrade(url)
    engine = open_database(url)
    with writing(engine) as connection:
        connection.execute(
            text("TRUNCATE files, moves, requests, spot_checks, backfill_loads RESTART IDENTITY")
        )
    first = folder / "first"
    _make_run(first, settings, 2 * PART, "first")
    note_all(Loading(first, settings), settings, engine, engine)
    there, double = 2 * PART, 0
    while there < ROWS:
        most, double = min(there, ROWS - there), double + 1
        with writing(engine) as connection:
            connection.execute(text(_DOUBLE), {"mark": f"-{double}", "most": most})
        there += most
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE files"))
    figures = _rates(run, settings, engine, count)
    engine.dispose()
    shutil.rmtree(first)
    return {f"PostgreSQL, {name}": rate for name, rate in figures.items()}


def _make_run(run: Path, settings: Settings, count: int, name: str = "archive") -> None:
    """Write the lists and results of a run of `count` photos, a twentieth of which are copies."""
    run_file.make_folders(run)
    photos = (Listed(b"%03d/IMG_%07d.jpg" % (n // 1000, n), 3_000_000 + n % 9999, n) for n in range(count))
    number = first = 0
    while batch := tuple(islice(photos, PART)):
        parts.write_list(run, Part(number, first, batch))
        number, first = number + 1, first + len(batch)
    planned = RunFile(
        version="0", source=f"/{name}", parts=number, photos=count, bytes=3_000_000 * count,
        digest=run_file.digest(run, number), model="cats_dogs", model_sha256="b" * 64, threshold=0.98,
        folders={"cat": "cats", "dog": "dogs"}, engine="auto", precision="int8", limits={},
        answer_key="k" * 16,
        actions={"filing": settings.filing.action, **settings.outcomes.model_dump()},
    )  # fmt: skip
    run_file.write(run, planned)
    for each in range(number):
        part = parts.read_list(run, each)
        results = (_result(part.first + n, photo, name) for n, photo in enumerate(part.photos))
        parts.write_results(run, Mark(planned.digest, each), results)


def _result(id: int, photo: Listed, name: str) -> Result:
    label, sure = ("cat", "dog")[id % 2], id % 10 > 0
    sha256 = hashlib.sha256(b"%s %d" % (name.encode(), id - (id % 20 == 19))).hexdigest()
    scores = {"cat": 0.01234567, "dog": 0.01234567, "neither": 0.00641977, label: 0.98123456}
    outcome, reason = (f"{label}s", None) if sure else ("uncertain", "low_confidence")
    return Result(
        id, photo.path, outcome, label, 0.98123456, reason, None, scores, sha256, photo.bytes, "JPEG",
        4000, 3000, "2024-05-01T10:15:00", "exif", 0.45, "k" * 16, 2049, id, photo.mtime_ns, _DECIDED,
    )  # fmt: skip
