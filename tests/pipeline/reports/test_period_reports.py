from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import insert, update

from db.connection.engine import writing
from db.schema.tables import FileRow
from pipeline.files.exclusive_lock import exclusive
from pipeline.reports import daily, period_reports
from pipeline.reports.daily import Reporter
from tests.support.installation import QUICK, Installation

ZONE = ZoneInfo("Europe/Berlin")
NEW_YEAR = datetime(2027, 1, 1, 0, 10, tzinfo=ZONE).astimezone(UTC)


def photo(number: int, seen: datetime, rng: random.Random) -> dict[str, Any]:
    outcome = rng.choice(["cats", "dogs", "uncertain", "failed", None])
    cat, state = rng.random(), "filed" if outcome else rng.choice(["claimed", "undone", "removed"])
    known = outcome not in (None, "failed")
    return {
        "spool_name": f"{number}-0", "state": state, "inbox": rng.choice(["/a", "/b"]), "dev": 1, "ino": 1,
        "source": b"%d" % number, "name": b"%d" % number, "path": b"/x/%d" % number, "outcome": outcome,
        "prediction": "cat" if known else None, "confidence": cat if known else None,
        "scores": {"cat": cat, "neither": 1 - cat} if known else None, "bytes": rng.randrange(10**6),
        "mtime_ns": 1, "attempts": 0, "seen_at": seen, "claimed_at": seen, "decided_at": seen,
        "filed_at": seen + timedelta(seconds=rng.random()) if outcome else None, "changed_at": seen,
    }  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with photos of five weeks before the new year, and the reports of that night."""
    pawsort = Installation(tmp_path_factory.mktemp("written"), QUICK)
    rng = random.Random(4)
    start = datetime(2026, 11, 28, tzinfo=UTC)
    with writing(pawsort.engine) as connection:
        for number in range(120):
            seen = start + timedelta(seconds=rng.randrange(34 * 86_400))
            connection.execute(insert(FileRow).values(photo(number, seen, rng)))
    reporter_of(pawsort).write_due(NEW_YEAR)
    pawsort.close()
    return pawsort.folder


@pytest.fixture
def reporter(written: Path, tmp_path: Path) -> Iterator[Reporter]:
    """The reporter of a copy of `written`."""
    shutil.copytree(written, tmp_path / "site")
    pawsort = Installation(tmp_path / "site", QUICK)
    yield reporter_of(pawsort)
    pawsort.close()


def reporter_of(pawsort: Installation) -> Reporter:
    settings = pawsort.settings
    outcomes = ("cats", "dogs", "uncertain", "failed")
    return Reporter(pawsort.engine, settings.reports, ZONE, time(0, 10), outcomes, settings.state)


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def sums(frame: pd.DataFrame) -> dict[Any, Any]:
    found = frame.groupby(["inbox", "outcome"])[["images", "bytes"]].sum()
    return found[found["images"] > 0].to_dict("index")


def test_the_summaries_of_months_and_years_add_up_to_those_of_the_days(reporter: Reporter) -> None:
    folder = reporter.folder
    names = [str(path.relative_to(folder)) for path in sorted(folder.glob("*/*"))]
    assert names == [*(f"months/summary-2026-{month}.csv" for month in (11, 12)), "years/summary-2026.csv"]
    for name in names:
        whole = read(folder / name)
        period = name.partition("summary-")[2].removesuffix(".csv")
        days = pd.concat(map(read, sorted(folder.glob(f"summary-{period}-*.csv"))))
        assert set(whole["day"].astype(str)) == {period} and whole["reconciles"].all()
        assert list(whole) == list(days)
        assert sums(whole) == sums(days)
        arrived = whole.groupby("inbox")["arrived"].first().to_dict()
        assert arrived == days.groupby("inbox")["images"].sum().to_dict()


def test_the_quantiles_are_those_of_all_images_of_the_month(reporter: Reporter) -> None:
    images = pd.concat(map(read, sorted(reporter.folder.glob("images-2026-12-*.csv"))))
    cats = images[(images["outcome"] == "cats") & (images["inbox"] == "/a")]
    whole = read(reporter.folder / "months" / "summary-2026-12.csv").set_index(["inbox", "outcome"])
    row = whole.loc[("/a", "cats")]
    assert row["confidence_p50"] == pytest.approx(cats["confidence"].median(), abs=1e-6)
    shown = cats["scores"].map(lambda text: max(json.loads(text).values()))
    assert row["shown_probability_p50"] == pytest.approx(shown.median(), abs=1e-6)
    assert row["shown_probability_p50"] > row["confidence_p50"], "of neither, as it is shown"


def test_a_month_is_written_again_with_a_day_of_it_and_only_then(
    reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in reporter.folder.glob("*s/summary-*.csv")}
    wrote: list[str] = []
    write = period_reports.PeriodReporter.write
    monkeypatch.setattr(
        period_reports.PeriodReporter,
        "write",
        lambda self, period, *more: (wrote.append(period.name), write(self, period, *more))[1],
    )
    reporter.write_due(NEW_YEAR + timedelta(hours=1))
    assert wrote == []
    with writing(reporter.engine) as connection:
        changed = update(FileRow).where(FileRow.seen_at < datetime(2026, 11, 30, tzinfo=UTC))
        connection.execute(
            changed.values(outcome="birds", state="filed", changed_at=NEW_YEAR + timedelta(hours=2))
        )
    reporter.write_due(NEW_YEAR + timedelta(days=1))
    assert wrote == ["2026-11", "2026"]
    changed_files = {path.name for path, content in before.items() if path.read_bytes() != content}
    assert changed_files == {"summary-2026-11.csv", "summary-2026.csv"}
    assert "birds" in set(read(reporter.folder / "years" / "summary-2026.csv")["outcome"])


def test_a_month_that_could_not_be_written_is_due_until_it_is(reporter: Reporter) -> None:
    in_the_way = reporter.folder / "months" / "summary-2026-11.csv"
    in_the_way.unlink()
    in_the_way.mkdir()
    assert reporter.state
    (reporter.state / period_reports.FILE_NAME).unlink()
    with pytest.raises(OSError):
        reporter.write_due(NEW_YEAR)
    in_the_way.rmdir()
    assert reporter.write_due(NEW_YEAR + timedelta(minutes=1)) == []
    assert in_the_way.is_file() and (reporter.folder / "years" / "summary-2026.csv").is_file()


def test_a_deleted_summary_is_not_made_again(reporter: Reporter) -> None:
    (reporter.folder / "years" / "summary-2026.csv").unlink()
    reporter.write_due(NEW_YEAR + timedelta(days=1))
    assert not (reporter.folder / "years" / "summary-2026.csv").exists()


def test_times_that_cannot_be_read_only_have_the_summaries_written_again(
    reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    (reporter.folder / "years" / "summary-2026.csv").unlink()
    assert reporter.state
    for damaged in ("[]", "{", '{"schema_version": 9}', '{"schema_version": 1, "written": {"2026": 5}}'):
        (reporter.state / period_reports.FILE_NAME).write_text(damaged)
        reporter.write_periods(date(2026, 1, 1), date(2026, 12, 31), NEW_YEAR)
        assert (reporter.folder / "years" / "summary-2026.csv").is_file()
        assert "are written again" in caplog.text
        caplog.clear()


def test_two_writers_take_turns(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "WAIT_SECONDS", 1)
    assert reporter.state
    with (
        exclusive(reporter.state / daily.LOCK, 0.0, "held"),
        pytest.raises(OSError, match="another process has been writing reports"),
    ):
        reporter.write_range(date(2026, 11, 1), date(2026, 11, 1), NEW_YEAR)
    assert not list(reporter.folder.glob("*2026-11-01*"))
    assert len(reporter.write_range(date(2026, 11, 1), date(2026, 11, 1), NEW_YEAR)) == 1
