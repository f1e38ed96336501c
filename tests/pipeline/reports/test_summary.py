from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from pipeline.reports.summary import COLUMNS, SummaryBuilder
from pipeline.reports.summary_rows import by_inbox

DAY = "2026-11-20"
SEEN = datetime(2026, 11, 20, tzinfo=UTC)


def images(
    *rows: tuple[str, str, str | None, float | None, float | None], worker: str | None = "ann"
) -> pd.DataFrame:
    """Make a part of `results` from inbox, state, outcome, confidence and seconds to filed."""
    columns = list(zip(*rows, strict=True))
    filed = [None if seconds is None else SEEN + timedelta(seconds=seconds) for seconds in columns[4]]
    return pd.DataFrame(
        {
            "inbox": pd.Series(columns[0], dtype="str"),
            "worker": pd.Series([worker] * len(rows), dtype="str"),
            "state": pd.Series(columns[1], dtype="str"),
            "outcome": pd.Series(columns[2], dtype="str"),
            "confidence": pd.Series(columns[3], dtype="float64"),
            "shown_probability": pd.Series(columns[3], dtype="float64"),
            "bytes": pd.Series([10] * len(rows), dtype="Int64"),
            "seen_at": pd.Series([SEEN] * len(rows), dtype="datetime64[us, UTC]"),
            "filed_at": pd.Series(filed, dtype="datetime64[us, UTC]"),
        }
    )


def test_parts_add_up_to_the_whole() -> None:
    tally = SummaryBuilder(["cats"])
    for n in range(11):
        tally.add(images(("/a", "filed", "cats", n / 10, float(n))))
    row = tally.frame(DAY, {("ann", "/a"): 11}).iloc[0].to_dict()
    assert (row["images"], row["bytes"], row["share"]) == (11, 110, 1.0)
    assert [row[f"confidence_p{p}"] for p in (10, 50, 90)] == [0.1, 0.5, 0.9]
    assert (row["confidence_mean"], row["seconds_to_filed_mean"]) == (0.5, 5.0)
    assert (row["seconds_to_filed_p50"], row["seconds_to_filed_p95"]) == (5.0, 9.5)


def test_whatever_is_not_filed_yet_waits_even_when_it_is_decided() -> None:
    tally = SummaryBuilder(["cats"])
    tally.add(images(*[("/a", state, None, None, None) for state in ("claimed", "decoding", "decided")]))
    assert tally.counts() == {"cats": 0, "waiting": 3}


@pytest.mark.fault(93)
def test_a_clock_set_back_between_seen_and_filed_gives_negative_seconds_not_an_error() -> None:
    tally = SummaryBuilder(["cats"])
    tally.add(images(("/a", "filed", "cats", 0.9, -3600.0)))
    assert tally.frame(DAY, {("ann", "/a"): 1})["seconds_to_filed_mean"][0] == -3600.0


def test_each_inbox_reconciles_by_itself() -> None:
    tally = SummaryBuilder(["cats"])
    tally.add(images(("/a", "filed", "cats", 0.9, 1.0), ("/b", "filed", "cats", 0.9, 1.0)))
    assert not tally.reconciles({("ann", "/a"): 2})
    frame = tally.frame(DAY, {("ann", "/a"): 1, ("ann", "/b"): 0, ("ann", "/c"): 4})
    assert frame.groupby("inbox")["reconciles"].first().to_dict() == {"/a": True, "/b": False, "/c": False}


def test_what_arrives_during_the_count_does_not_count_against_it() -> None:
    tally = SummaryBuilder(["cats"])
    tally.add(images(("/a", "filed", "cats", 0.9, 1.0), ("/a", "filed", "cats", 0.9, 1.0)))
    assert tally.settled({("ann", "/a"): 1}, {("ann", "/a"): 3, ("ann", "/b"): 1}) == {("ann", "/a"): 2}
    assert tally.settled({("ann", "/a"): 3}, {("ann", "/a"): 3}) == {("ann", "/a"): 3}
    assert tally.settled({("ann", "/a"): 1}, {("ann", "/a"): 1}) == {("ann", "/a"): 1}


def test_a_day_without_arrivals_still_has_all_columns() -> None:
    assert list(SummaryBuilder(["cats"]).frame(DAY, {}).columns) == list(COLUMNS)


def test_equal_inboxes_of_two_workers_have_rows_of_their_own() -> None:
    tally = SummaryBuilder(["cats"])
    for worker, count in (("bob", 2), ("ann", 1), (None, 1)):
        tally.add(images(*[("/in", "filed", "cats", 0.9, 1.0)] * count, worker=worker))
    arrived = {("ann", "/in"): 1, ("bob", "/in"): 2, ("", "/in"): 1}
    assert tally.settled(arrived, arrived) == arrived and tally.reconciles(arrived)
    assert not tally.reconciles({("ann", "/in"): 2, ("bob", "/in"): 2}), "the sum alone is not enough"
    frame = tally.frame(DAY, arrived)
    cats = frame[frame["outcome"] == "cats"]
    assert list(frame.columns)[-1] == "worker"
    assert cats["worker"].fillna("").to_list() == ["", "ann", "bob"]
    assert cats["images"].to_list() == [1, 1, 2] and cats["reconciles"].all()
    assert tally.counts() == {"cats": 4, "waiting": 0}


def test_inboxes_are_shown_with_their_worker_where_there_are_several() -> None:
    rows = [{"inbox": "/in", "worker": "ann"}, {"inbox": "/in", "worker": "bob"}]
    assert [name for name, _ in by_inbox(rows)] == ["ann: /in", "bob: /in"]
    assert [name for name, _ in by_inbox(rows[:1])] == ["/in"]
    assert [name for name, _ in by_inbox([{"inbox": "/in"}])] == ["/in"], "written before there were several"
