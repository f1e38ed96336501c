"""When a file counts as complete; the clock is a number."""

from __future__ import annotations

import pytest

from pipeline.watch.stability import LONGEST_REST_SECONDS, RETURNED_SECONDS, FileSnapshot, StabilityTracker

CAT = FileSnapshot(b"cat.jpg", 1, 10, 1000, 5)


def paths(tracker: StabilityTracker, now: float, limit: int = 100) -> list[bytes]:
    return [due.snapshot.path for due in tracker.due(now, limit)]


def test_a_file_is_due_once_it_was_quiet_long_enough() -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(CAT, 0.0)
    assert paths(tracker, 1.9) == []
    assert paths(tracker, 2.0) == [b"cat.jpg"]


def test_seeing_the_same_again_does_not_start_the_clock_again() -> None:
    tracker = StabilityTracker(2.0)
    for now in (0.0, 1.0, 1.9):
        tracker.observe(CAT, now)
    assert paths(tracker, 2.0) == [b"cat.jpg"]


@pytest.mark.fault(12)
def test_any_difference_starts_the_clock_again() -> None:
    for field in ("dev", "ino", "size", "mtime_ns"):
        tracker = StabilityTracker(2.0)
        tracker.observe(CAT, 0.0)
        tracker.observe(CAT._replace(**{field: 99}), 1.5)
        assert paths(tracker, 3.4) == [], field
        assert paths(tracker, 3.5) == [b"cat.jpg"], field


def test_an_event_starts_the_clock_again_though_nothing_looks_different() -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(CAT, 0.0)
    tracker.touch(b"cat.jpg", 1.5)
    assert paths(tracker, 3.4) == []
    assert paths(tracker, 3.5) == [b"cat.jpg"]


@pytest.mark.fault(20)
def test_when_the_file_says_it_was_modified_does_not_matter() -> None:
    for mtime_ns in (0, -(10**18), 4_102_444_800 * 10**9):
        tracker = StabilityTracker(2.0)
        tracker.observe(CAT._replace(mtime_ns=mtime_ns), 0.0)
        assert paths(tracker, 2.0) == [b"cat.jpg"]


def test_first_seen_survives_changes_of_the_same_inode_only() -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(CAT, 0.0)
    tracker.observe(CAT._replace(size=2000), 1.0)
    assert tracker.due(3.0, 1)[0].first_seen == 0.0
    tracker.observe(CAT._replace(ino=11), 5.0)
    assert tracker.due(7.0, 1)[0].first_seen == 5.0


def test_what_was_handed_out_rests_until_it_is_forgotten_or_long_overdue() -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(CAT, 0.0)
    assert paths(tracker, 2.0) == [b"cat.jpg"]
    tracker.observe(CAT, 3.0)
    assert paths(tracker, 2.0 + RETURNED_SECONDS - 0.1) == []
    assert paths(tracker, 2.0 + RETURNED_SECONDS) == [b"cat.jpg"]
    tracker.forget(b"cat.jpg")
    assert paths(tracker, 1e9) == []


def test_what_could_not_be_taken_rests_longer_each_time_up_to_a_bound() -> None:
    tracker = StabilityTracker(2.0)
    tracker.observe(CAT, 0.0)
    now, rests = 2.0, list[float]()
    assert paths(tracker, now) == [b"cat.jpg"]
    for _ in range(7):
        tracker.postpone(b"cat.jpg", now)
        before = now
        while not tracker.due(now, 1):
            now += 0.5
        rests.append(now - before)
    assert rests == [2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_REST_SECONDS, LONGEST_REST_SECONDS]


def test_a_change_or_an_event_ends_the_rest() -> None:
    for wake in (
        lambda tracker: tracker.observe(CAT._replace(size=2000), 10.0),
        lambda tracker: tracker.touch(b"cat.jpg", 10.0),
    ):
        tracker = StabilityTracker(2.0)
        tracker.observe(CAT, 0.0)
        tracker.due(2.0, 1)
        for now in (2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
            tracker.postpone(b"cat.jpg", now)
        wake(tracker)
        assert paths(tracker, 11.9) == []
        assert paths(tracker, 12.0) == [b"cat.jpg"]


def test_the_longest_settled_come_first_and_no_more_than_asked_for() -> None:
    tracker = StabilityTracker(2.0)
    for number in range(10):
        tracker.observe(CAT._replace(path=b"%d" % number), 10.0 - number)
    assert paths(tracker, 100.0, limit=3) == [b"9", b"8", b"7"]
    assert paths(tracker, 100.0, limit=3) == [b"6", b"5", b"4"]
    assert tracker.due(100.0, 0) == []


@pytest.mark.fault(23)
def test_a_full_tracker_says_so_and_has_room_again_when_files_are_handed_out() -> None:
    tracker = StabilityTracker(2.0, capacity=2)
    assert tracker.observe(CAT._replace(path=b"1"), 0.0)
    assert tracker.observe(CAT._replace(path=b"2"), 0.0)
    assert not tracker.observe(CAT._replace(path=b"3"), 0.0)
    assert tracker.observe(CAT._replace(path=b"2", size=5), 0.0), "a known file is no new one"
    assert tracker.full
    tracker.due(2.0, 1)
    assert tracker.observe(CAT._replace(path=b"3"), 2.0)


def test_files_that_cannot_be_taken_do_not_keep_others_out() -> None:
    tracker = StabilityTracker(1.0, capacity=5)
    for number in range(100):
        assert tracker.observe(CAT._replace(path=b"%d" % number), number)
        for path in paths(tracker, number):
            tracker.postpone(path, number)
    assert tracker.resting <= 5


@pytest.mark.fault(19)
def test_ten_thousand_touches_cost_one_place() -> None:
    tracker = StabilityTracker(2.0)
    for touch in range(10_000):
        tracker.observe(CAT._replace(mtime_ns=touch), touch * 0.001)
        tracker.touch(b"cat.jpg", touch * 0.001)
    assert len(tracker._heap) == 1
    assert paths(tracker, 11.9) == []
    assert paths(tracker, 12.0) == [b"cat.jpg"]


def test_memory_stays_flat_while_a_million_pass() -> None:
    tracker = StabilityTracker(0.0, capacity=100)
    for number in range(20_000):
        assert tracker.observe(CAT._replace(path=b"%d" % number), number * 1e-3)
        for path in paths(tracker, number * 1e-3):
            tracker.forget(path)
    assert len(tracker._heap) <= 1001
    assert (tracker.waiting, tracker.resting) == (0, 0)
