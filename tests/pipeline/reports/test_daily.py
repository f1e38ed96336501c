from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import Engine, insert, select, update

from db.connection.engine import open_database, reading, writing
from db.queries.listing import written_reports
from db.schema.results_view import results
from db.schema.tables import FileRow, ReportRow
from pipeline.reports import daily
from pipeline.reports.daily import Reporter

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NEXT_NIGHT = datetime(2026, 11, 21, 0, 10, tzinfo=UTC)
OUTCOMES = ("cats", "dogs", "uncertain", "failed")
FORMULAS = [b"=1.jpg", b"-rf.jpg", b"@a", b"+1", b"\ttab", b"\rreturn"]
HOSTILE = [*FORMULAS, b"lone\rin it", b'new\nline"quoted",', b"\xff\xfe"]


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("db") / "empty.db"
    open_database(f"sqlite:///{path}").dispose()
    return path


@pytest.fixture
def engine(tmp_path: Path, empty_database: Path) -> Iterator[Engine]:
    shutil.copy(empty_database, tmp_path / "pawsort.db")
    engine = open_database(f"sqlite:///{tmp_path / 'pawsort.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def reporter(engine: Engine, tmp_path: Path) -> Reporter:
    return Reporter(engine, tmp_path / "reports", ZoneInfo("UTC"), time(0, 10), OUTCOMES)


def photo(name: bytes = b"a.jpg", **values: Any) -> dict[str, Any]:
    """Return a row of `files` that was filed two seconds after it was seen."""
    seen = values.setdefault("seen_at", NOON)
    return {
        "spool_name": "1-00000000",
        "state": "filed",
        "inbox": "/inbox",
        "source": name,
        "name": name,
        "path": b"/sorted/cats/" + name,
        "outcome": "cats",
        "prediction": "cat",
        "confidence": 0.9,
        "scores": {"cat": 0.9, "dog": 0.1},
        "dev": 1,
        "ino": 1,
        "bytes": 100,
        "mtime_ns": 1,
        "attempts": 0,
        "claimed_at": seen + timedelta(seconds=1),
        "decided_at": seen + timedelta(seconds=2),
        "filed_at": seen + timedelta(seconds=2),
        "changed_at": seen + timedelta(seconds=2),
    } | values


def waiting(name: bytes = b"w.jpg", **values: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(["outcome", "prediction", "confidence", "scores", "decided_at", "filed_at"])
    return photo(name, **{"state": "claimed", **unknown, **values})


def add(engine: Engine, *photos: dict[str, Any]) -> None:
    with writing(engine) as connection:
        for values in photos:
            connection.execute(insert(FileRow).values(values))


def records(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def summary_of(reporter: Reporter, day: date = DAY) -> dict[str, dict[str, str]]:
    with (reporter.folder / f"summary-{day}.csv").open(newline="") as file:
        return {row["outcome"]: row for row in csv.DictReader(file)}


def test_the_summary_has_a_row_for_each_inbox_and_outcome(engine: Engine, reporter: Reporter) -> None:
    add(
        engine,
        photo(confidence=0.8),
        photo(confidence=1.0, bytes=300),
        photo(outcome="failed", confidence=None, reason="empty"),
        photo(inbox="/other", outcome="dogs"),
        waiting(),
    )
    report = reporter.write_day(DAY, NEXT_NIGHT)
    assert report.counts == {"cats": 2, "dogs": 1, "uncertain": 0, "failed": 1, "waiting": 1}
    assert (report.arrived, report.waiting, report.reconciles) == (5, 1, True)
    frame = pd.read_csv(reporter.folder / "summary-2026-11-20.csv")
    assert list(zip(frame["inbox"], frame["outcome"], frame["images"], strict=True)) == [
        ("/inbox", "cats", 2),
        ("/inbox", "dogs", 0),
        ("/inbox", "uncertain", 0),
        ("/inbox", "failed", 1),
        ("/inbox", "waiting", 1),
        ("/other", "cats", 0),
        ("/other", "dogs", 1),
        ("/other", "uncertain", 0),
        ("/other", "failed", 0),
        ("/other", "waiting", 0),
    ]
    cats = frame.iloc[0]
    assert (cats["share"], cats["confidence_mean"], cats["confidence_p10"]) == (0.5, 0.9, 0.82)
    assert (cats["bytes"], cats["seconds_to_filed_p95"], cats["arrived"]) == (400, 2.0, 4)
    assert frame["reconciles"].all()


def test_the_images_agree_with_the_view(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo(b"a.jpg"), photo(b"b.jpg", width=10, taken_at="2020:01:02"), waiting(b"c.jpg"))
    reporter.write_day(DAY, NEXT_NIGHT)
    frame = pd.read_csv(reporter.folder / "latest-images.csv")
    assert list(frame.columns) == ["schema_version", *results.c.keys()]
    assert frame["name"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert frame["outcome"].fillna("").tolist() == ["cats", "cats", ""]
    assert frame["seen_at"][0] == "2026-11-20T12:00:00.000000Z"
    assert json.loads(frame["scores"][0]) == {"cat": 0.9, "dog": 0.1}
    assert frame["confidence"][0] == 0.9


@pytest.mark.fault(96)
def test_hostile_names_are_one_record_each_and_never_a_formula(engine: Engine, reporter: Reporter) -> None:
    add(engine, *(photo(name) for name in HOSTILE))
    reporter.write_day(DAY, NEXT_NIGHT)
    head, *rows = records(reporter.folder / "images-2026-11-20.csv")
    assert len(rows) == len(HOSTILE)
    assert {len(row) for row in rows} == {len(head)}
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r"))]
    assert rows[-1][head.index("name")] == r"\xff\xfe"


def test_the_same_day_written_again_has_the_same_bytes(engine: Engine, reporter: Reporter) -> None:
    add(engine, *(photo(name, confidence=0.1 * n) for n, name in enumerate(HOSTILE)), waiting())
    reporter.write_day(DAY, NEXT_NIGHT)
    before = {path.name: path.read_bytes() for path in reporter.folder.iterdir()}
    reporter.write_day(DAY, NEXT_NIGHT + timedelta(days=9))
    assert {path.name: path.read_bytes() for path in reporter.folder.iterdir()} == before


def test_chunks_make_the_same_file_as_one_piece(
    engine: Engine, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, *(photo(b"%d.jpg" % n, confidence=n / 7) for n in range(7)))
    reporter.write_day(DAY, NEXT_NIGHT)
    whole = [(reporter.folder / f"latest-{kind}.csv").read_bytes() for kind in ("images", "summary")]
    monkeypatch.setattr(daily, "CHUNK_ROWS", 2)
    reporter.write_day(DAY, NEXT_NIGHT)
    assert [(reporter.folder / f"latest-{kind}.csv").read_bytes() for kind in ("images", "summary")] == whole


@pytest.mark.fault(97)
def test_an_empty_day_has_headers_only(reporter: Reporter) -> None:
    report = reporter.write_day(DAY, NEXT_NIGHT)
    assert (report.arrived, report.reconciles) == (0, True)
    assert [len(records(path)) for path in report.paths[:2]] == [1, 1]


def test_a_day_is_that_of_the_zone_and_half_open(engine: Engine, reporter: Reporter, tmp_path: Path) -> None:
    berlin = Reporter(engine, tmp_path / "reports", ZoneInfo("Europe/Berlin"), time(0, 10), OUTCOMES)
    start, end = (datetime(2026, 10, day, hour, tzinfo=UTC) for day, hour in ((24, 22), (25, 23)))
    instant = timedelta(microseconds=1)
    add(engine, *(photo(seen_at=at) for at in (start - instant, start, end - instant, end)))
    assert berlin.write_day(date(2026, 10, 25), NEXT_NIGHT).arrived == 2


def test_a_filed_image_without_an_outcome_does_not_reconcile(
    engine: Engine, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    add(engine, photo(), photo(outcome=None))
    with caplog.at_level(logging.WARNING):
        report = reporter.write_day(DAY, NEXT_NIGHT)
    assert not report.reconciles
    assert summary_of(reporter)["cats"]["reconciles"] == "false"
    assert "does not reconcile: 2 arrived, 1 are counted" in caplog.text


def test_what_was_undone_or_filed_by_another_model_has_a_row(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo(outcome="birds"), photo(state="undone", outcome=None))
    assert reporter.write_day(DAY, NEXT_NIGHT).reconciles
    assert list(summary_of(reporter)) == [*OUTCOMES, "birds", "undone", "waiting"]


def test_latest_is_the_newest_day_whatever_was_written_last(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo(b"new.jpg"), photo(b"old.jpg", seen_at=NOON - timedelta(days=1)))
    reporter.write_day(DAY, NEXT_NIGHT)
    reporter.write_day(DAY - timedelta(days=1), NEXT_NIGHT)
    latest = reporter.folder / "latest-images.csv"
    assert pd.read_csv(latest)["name"].tolist() == ["new.jpg"]
    assert not latest.is_symlink()


def test_every_finished_day_since_the_first_arrival_is_due_once(engine: Engine, reporter: Reporter) -> None:
    assert reporter.due_days(NEXT_NIGHT) == []
    add(engine, photo(seen_at=NOON - timedelta(days=3)), photo())
    days = [DAY - timedelta(days=n) for n in (3, 2, 1, 0)]
    assert reporter.due_days(NEXT_NIGHT - timedelta(seconds=1)) == days[:3]
    assert reporter.write_due(NEXT_NIGHT) == days
    assert reporter.write_due(NEXT_NIGHT + timedelta(minutes=5)) == []


@pytest.mark.parametrize(
    "change",
    [{"state": "filed", "outcome": "dogs"}, {"outcome": "dogs", "corrected_to": "dog"}],
    ids=["filed late", "corrected"],
)
def test_a_day_that_changed_is_due_again(engine: Engine, reporter: Reporter, change: dict[str, Any]) -> None:
    add(engine, waiting())
    reporter.write_due(NEXT_NIGHT)
    with writing(engine) as connection:
        connection.execute(update(FileRow).values(changed_at=NEXT_NIGHT + timedelta(hours=1), **change))
    assert reporter.write_due(NEXT_NIGHT + timedelta(days=1)) == [DAY, DAY + timedelta(days=1)]


def test_a_file_that_never_finishes_does_not_make_its_day_due_again(
    engine: Engine, reporter: Reporter
) -> None:
    add(engine, waiting())
    reporter.write_due(NEXT_NIGHT)
    assert reporter.due_days(NEXT_NIGHT + timedelta(hours=1)) == []


def test_a_change_that_was_committed_while_the_report_was_made_is_not_missed(
    engine: Engine, reporter: Reporter
) -> None:
    reporter.write_day(DAY, NEXT_NIGHT)
    add(engine, photo(changed_at=NEXT_NIGHT - timedelta(seconds=1)))
    assert reporter.due_days(NEXT_NIGHT + timedelta(minutes=1)) == [DAY]


def test_a_day_reported_before_it_ended_is_due_when_it_has(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo())
    reporter.write_day(DAY, NOON + timedelta(hours=1))
    assert reporter.due_days(NOON + timedelta(hours=2)) == []
    assert reporter.due_days(NEXT_NIGHT) == [DAY]


@pytest.mark.fault(93)
def test_a_report_of_a_clock_that_was_ahead_is_not_trusted(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo())
    reporter.write_day(DAY, NEXT_NIGHT + timedelta(days=365))
    assert reporter.due_days(NEXT_NIGHT) == [DAY]


def test_the_book_of_reports_tells_when_and_how_many_waited(engine: Engine, reporter: Reporter) -> None:
    add(engine, waiting(), waiting(b"x.jpg"))
    reporter.write_day(DAY, NEXT_NIGHT)
    with reading(engine) as connection:
        rows = connection.execute(select(ReportRow.day, ReportRow.written_at, ReportRow.waiting)).all()
    assert rows == [(DAY, NEXT_NIGHT, 2)]


def test_a_range_is_written_day_by_day(reporter: Reporter) -> None:
    written = reporter.write_range(DAY, DAY + timedelta(days=2), NEXT_NIGHT)
    assert [report.day.day for report in written] == [20, 21, 22]


@pytest.mark.fault(95)
def test_a_missing_disk_is_an_error_and_the_day_stays_due(engine: Engine, tmp_path: Path) -> None:
    add(engine, photo())
    lost = Reporter(engine, tmp_path / "unmounted" / "reports", ZoneInfo("UTC"), time(0, 10), OUTCOMES)
    with pytest.raises(OSError, match="1 days could not be written, the first 2026-11-20"):
        lost.write_due(NEXT_NIGHT)
    assert lost.due_days(NEXT_NIGHT) == [DAY]


def test_one_day_that_cannot_be_written_does_not_hold_up_the_others(
    engine: Engine, reporter: Reporter
) -> None:
    add(engine, photo(seen_at=NOON - timedelta(days=1)), photo())
    (reporter.folder / "images-2026-11-19.csv").mkdir(parents=True)
    with pytest.raises(OSError, match="1 days could not be written"):
        reporter.write_due(NEXT_NIGHT)
    assert (reporter.folder / "images-2026-11-20.csv").is_file()
    assert reporter.due_days(NEXT_NIGHT) == [date(2026, 11, 19)]


def test_giving_up_leaves_the_old_files_and_the_day_due(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo())

    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reporter.write_day(DAY, NEXT_NIGHT, give_up)
    assert list(reporter.folder.iterdir()) == []
    assert reporter.due_days(NEXT_NIGHT) == [DAY]


def test_stopping_is_heeded_between_days_that_have_no_images(engine: Engine, reporter: Reporter) -> None:
    add(engine, photo(seen_at=NOON - timedelta(days=2)))

    def check() -> None:
        if len(written_reports(engine)) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reporter.write_due(NEXT_NIGHT, check)
    assert reporter.due_days(NEXT_NIGHT) == [DAY]


@pytest.mark.fault(94)
def test_killed_in_the_middle_leaves_whole_files_and_no_rubbish_after_the_next(
    engine: Engine, reporter: Reporter, tmp_path: Path
) -> None:
    add(engine, photo())
    reporter.write_day(DAY, NEXT_NIGHT)
    before = {path.name: path.read_bytes() for path in reporter.folder.iterdir()}
    script = (
        "import os, signal; from pathlib import Path; from pipeline.files.replace_file import replace_file\n"
        "def pieces():\n    yield b'half'\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"replace_file(Path({str(reporter.folder / 'images-2026-11-20.csv')!r}), pieces())"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    assert len(list(reporter.folder.glob(".*.tmp"))) == 1
    assert all((reporter.folder / name).read_bytes() == content for name, content in before.items())
    reporter.write_day(DAY, NEXT_NIGHT)
    assert {path.name for path in reporter.folder.iterdir()} == set(before)
