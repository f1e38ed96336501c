from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.reasons import FAILURES
from pipeline.worker import counters
from pipeline.worker.counters import BOUNDS, FILE_NAME, Counters, read, resumed
from pipeline.worker.steps.held_file import InProgressFile
from tests.support.installation import Installation, run_until_idle
from tests.support.stub_classifier import StubClassifier


def total(counters: Counters) -> int:
    return sum(counters.seconds.counts)


def test_files_are_counted_as_they_arrive_and_by_outcome_and_reason(pawsort: Installation) -> None:
    for number in range(5):
        pawsort.drop(f"{number}.jpg", b"<cat>%d" % number)
    pawsort.drop("empty.jpg", b"")
    pawsort.drop("broken.jpg", b"<truncated>")
    counted = pawsort.run_worker().counters
    assert counted.arrived == 7
    assert counted.filed == {"cats": 5, "failed": 2}
    assert counted.failed == {"empty": 1, "truncated": 1}
    assert total(counted) == 7


def test_a_worker_goes_on_with_the_counters_of_the_last_one(pawsort: Installation) -> None:
    path = pawsort.settings.state / FILE_NAME
    pawsort.drop("a.jpg", b"<cat>a")
    pawsort.run_worker().counters.write(path)
    pawsort.drop("b.jpg", b"<cat>b")
    worker = pawsort.worker(counters=resumed(path, ["cats", "dogs"]))
    run_until_idle(worker)
    worker.stop()
    assert worker.counters.filed == {"cats": 2, "dogs": 0}
    assert worker.counters.failed == dict.fromkeys(FAILURES, 0)
    assert (worker.counters.arrived, total(worker.counters)) == (2, 2)


def test_a_child_of_the_classifier_that_replaces_another_is_counted(pawsort: Installation) -> None:
    pawsort.drop("crash.jpg", b"<crash>")
    worker = pawsort.run_worker(StubClassifier())
    worker.counters.follow_starts(pawsort.classifier.starts)
    assert worker.counters.classifier_restarts == pawsort.classifier.starts - 1 > 0


def test_another_model_with_children_of_its_own_is_no_restart() -> None:
    counted = Counters()
    for starts in (0, 1, 3, 1, 1, 2):
        counted.follow_starts(starts)
    assert counted.classifier_restarts == 3


def test_a_file_that_an_earlier_worker_decided_keeps_its_reason_and_its_time(pawsort: Installation) -> None:
    pawsort._decide(b"a.jpg", b"x", "failed", reason="truncated")
    worker = pawsort.run_worker()
    assert worker.counters.failed == {"truncated": 1}
    assert worker.counters.seconds.sum > 0


def test_seconds_fall_into_the_first_bound_that_is_not_less(pawsort: Installation) -> None:
    seconds = Counters().seconds
    for value in (0.0, 1.0, 1.1, BOUNDS[-1], BOUNDS[-1] + 1):
        seconds.add(value)
    assert seconds.counts == [2, 1, *[0] * (len(BOUNDS) - 3), 1, 1]


def test_a_clock_that_was_set_back_takes_nothing_from_the_sum() -> None:
    now = datetime.now(UTC)
    file = InProgressFile(1, b"/in", b"a.jpg", b"/spool/1", (1, 1, 1, 1), seen_at=now)
    counted = Counters()
    counted.count_filed([file], now - timedelta(days=1))
    assert (total(counted), counted.seconds.sum) == (1, 0.0)


def test_what_a_later_version_adds_is_ignored_and_what_is_missing_is_0(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps({"schema_version": 1, "arrived": 7, "more": {"of": "it"}}))
    assert read(path) == Counters(arrived=7)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"schema_version": 99}', '{"schema_version": 1, "filed": 5}',
     '{"schema_version": 1, "seconds": {"bounds": [1], "counts": [1], "sum": 0}}'],
)  # fmt: skip
def test_damaged_counters_begin_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    assert read(path) is None
    assert resumed(path, ["cats"]).filed == {"cats": 0}


def test_a_histogram_with_other_bounds_begins_anew_and_the_counts_go_on(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    before = Counters(arrived=3, seconds=counters.Histogram((1.0,), [1, 2], 9.0))
    before.write(path)
    assert read(path) == before
    after = resumed(path, [])
    assert (after.arrived, after.seconds) == (3, counters.Histogram())


def test_nothing_is_written_while_nothing_is_counted(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    counted = Counters()
    counted.write(path)
    path.unlink()
    counted.write(path)
    assert not path.exists()
    counted.arrived += 1
    counted.write(path)
    assert path.exists()
