from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.nightly.agenda import Agenda
from pipeline.nightly.schedule import Schedule
from pipeline.reports.calendar_days import days_between, last_due
from tests.support.installation import wait

NIGHT = time(0, 10)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TODAY = NOON.date()
AGENDA = Agenda(NIGHT, ZoneInfo("UTC"))
MINUTE = timedelta(minutes=1)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Book:
    """A reporter that writes days into a list, and fails or waits when told."""

    def __init__(self, agenda: Agenda = AGENDA, first: date = TODAY) -> None:
        self.agenda, self.next, self.days, self.looks = agenda, first, list[date](), list[datetime]()
        self.error: Exception | None = None
        self.enter, self.leave = threading.Event(), threading.Event()
        self.leave.set()

    def run_due(self, now: datetime, check: Callable[[], None]) -> None:
        self.looks.append(now)
        self.enter.set()
        for _ in range(400):
            if self.leave.wait(0.005):
                break
            check()
        if self.error:
            raise self.error
        fresh = days_between(self.next, last_due(now, self.agenda.at, self.agenda.zone), self.agenda.zone)
        self.days += fresh
        self.next = max([self.next, *(day + timedelta(days=1) for day in fresh)])
        return fresh


def scheduled(book: Book, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Schedule:
    return Schedule(book, book.agenda.at, book.agenda.zone, "reports", clock)


@pytest.mark.parametrize(
    "name",
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/St_Johns",
    ],
)
@pytest.mark.fault(89)
def test_a_year_gives_one_check_and_one_report_for_each_date(name: str) -> None:
    zone = ZoneInfo(name)
    agenda, clock = Agenda(time(1, 30), zone), Clock(datetime(2011, 1, 1, 0, 7, tzinfo=UTC))
    first = last_due(clock.now, agenda.at, zone)
    book = Book(agenda, first)
    schedule = scheduled(book, clock)
    while clock.now.year == 2011:
        schedule.wake()
        clock.now += timedelta(minutes=30)
    assert book.days == days_between(first, book.days[-1], zone)
    assert len(book.days) in (364, 365, 366)
    assert len(book.looks) == len(book.days)


def test_a_report_is_written_within_a_minute_of_its_time() -> None:
    book, clock = Book(), Clock(datetime(2026, 11, 21, 0, 9, 59, tzinfo=UTC))
    schedule = scheduled(book, clock)
    schedule.wake()
    assert book.days == []
    assert schedule.agenda.next_look(clock.now) == datetime(2026, 11, 21, 0, 10, tzinfo=UTC)
    clock.now += MINUTE
    schedule.wake()
    assert book.days == [TODAY]


@pytest.mark.fault(90)
def test_days_missed_while_the_process_was_down_are_written_at_start() -> None:
    book, clock = Book(), Clock(NOON + timedelta(days=3))
    scheduled(book, clock).wake()
    assert [day.day for day in book.days] == [20, 21, 22]


@pytest.mark.fault(95)
def test_a_failure_is_logged_and_retried_with_back_off(caplog: pytest.LogCaptureFixture) -> None:
    book, clock = Book(), Clock()
    book.error = OSError(28, "No space left on device")
    schedule = scheduled(book, clock)
    end = clock.now + timedelta(hours=6)
    while clock.now < end:
        schedule.wake()
        clock.now += MINUTE
    gaps = [round((b - a) / MINUTE) for a, b in zip(book.looks, book.looks[1:], strict=False)]
    assert gaps[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "No space left on device" in (schedule.agenda.problem or "")
    assert caplog.text.count("No space left") == len(book.looks)
    book.error = None
    clock.now += timedelta(hours=1)
    schedule.wake()
    assert (schedule.agenda.problem, schedule.agenda.failures) == (None, 0)


def test_ten_thousand_failures_still_leave_a_next_try() -> None:
    agenda = AGENDA
    for _ in range(10_000):
        agenda = agenda.failed(NOON, "full")
    assert agenda.next_look(NOON) == NOON + timedelta(hours=1)


def test_an_unforeseen_error_does_not_end_the_schedule(caplog: pytest.LogCaptureFixture) -> None:
    book, clock = Book(), Clock()
    book.error = RuntimeError("two\nlines")
    schedule = scheduled(book, clock)
    schedule.wake()
    assert schedule.agenda.problem == "two lines"
    assert "RuntimeError" in caplog.text


@pytest.mark.fault(93)
def test_a_clock_set_back_gives_one_check_at_once() -> None:
    book, clock = Book(), Clock(NOON + timedelta(days=365))
    schedule = scheduled(book, clock)
    schedule.wake()
    clock.now = NOON
    schedule.wake()
    schedule.wake()
    assert book.looks == [NOON + timedelta(days=365), NOON]


def wait_until_idle(schedule: Schedule) -> None:
    """Wait for the end of the check that runs: APScheduler skips a second one until it has noted that end."""
    executor = schedule._ticker._scheduler._lookup_executor("default")

    def idle() -> bool:
        # It counts a check as running only after it has started it, both under this lock.
        with executor._lock:
            return not executor._instances["tick"]

    wait(idle, "the end of the first check")


@pytest.mark.fault(93)
def test_a_clock_set_back_while_the_thread_waits_gives_a_check_at_once() -> None:
    book, clock = Book(), Clock(NOON + timedelta(days=10))
    schedule = scheduled(book, clock)
    schedule.start()
    try:
        assert book.enter.wait(5)
        wait_until_idle(schedule)
        book.enter.clear()
        clock.now = NOON
        # So it is for APScheduler, which plans its next wake by the clock.
        schedule._ticker._scheduler.modify_job("tick", next_run_time=datetime.now(UTC) + timedelta(days=10))
        schedule.follow_clock()
        assert book.enter.wait(5)
    finally:
        schedule.stop()


def test_a_clock_that_was_not_set_back_changes_no_wake() -> None:
    schedule = scheduled(Book(), Clock())
    schedule.follow_clock()  # it has not started
    schedule.start()
    soon = datetime.now(UTC) + MINUTE
    schedule._ticker._scheduler.modify_job("tick", next_run_time=soon)
    schedule.follow_clock()
    assert schedule._ticker._scheduler.get_job("tick").next_run_time == soon
    schedule.stop()
    schedule.follow_clock()


@pytest.mark.fault(92)
def test_two_checks_never_run_at_once() -> None:
    book = Book()
    book.leave.clear()
    schedule = scheduled(book, Clock())
    first = threading.Thread(target=schedule.wake)
    first.start()
    assert book.enter.wait(5)
    schedule.wake()
    book.leave.set()
    first.join()
    assert len(book.looks) == 1


def test_the_thread_checks_at_once_and_stops_in_the_middle_of_a_report() -> None:
    book = Book()
    book.leave.clear()
    schedule = scheduled(book, Clock())
    schedule.start()
    assert book.enter.wait(5)
    began = datetime.now(UTC)
    schedule.stop()
    assert datetime.now(UTC) - began < timedelta(seconds=1)
    assert schedule.agenda.looked_at is None, "a look that was given up is due again"


@pytest.mark.fault(91)
def test_a_late_wake_still_counts_and_counts_once() -> None:
    schedule = scheduled(Book(), Clock())
    schedule.start()
    job = schedule._ticker._scheduler.get_job("tick")
    schedule.stop()
    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)
    assert job.trigger.timezone == UTC


def test_a_schedule_that_never_started_can_be_stopped() -> None:
    scheduled(Book(), Clock()).stop()


def test_apscheduler_is_quiet_about_each_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("apscheduler"), "level", logging.NOTSET)
    scheduled(Book(), Clock())
    assert logging.getLogger("apscheduler").level == logging.WARNING
