from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports.calendar_days import (
    bounds,
    day_of,
    days_between,
    due_at,
    last_due,
    next_due_at,
    start_of,
)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
]
NIGHT = time(0, 10)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2026-11-20", "2026-11-20 00:00", 24),
        ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00", 25),
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", 24.5),
        ("America/Sao_Paulo", "2011-10-16", "2011-10-16 03:00", 23),  # the clock skips midnight
        ("America/Havana", "2026-11-01", "2026-11-01 04:00", 25),  # midnight comes twice
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00", 0),  # never was
    ],
)
def test_a_day_is_as_long_as_its_clock_makes_it(zone: str, day: str, start: str, hours: float) -> None:
    begin, end = bounds(date.fromisoformat(day), ZoneInfo(zone))
    assert begin == utc(start)
    assert end - begin == timedelta(hours=hours)


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),
    name=st.sampled_from([*ZONES, "America/Havana", "Asia/Beirut", "Africa/Casablanca"]),
)
def test_every_moment_lies_in_the_bounds_of_its_day(moment: datetime, name: str) -> None:
    begin, end = bounds(day_of(moment, ZoneInfo(name)), ZoneInfo(name))
    assert begin <= moment < end


def test_a_clock_put_back_across_midnight_repeats_the_date_but_not_the_day() -> None:
    zone = ZoneInfo("America/St_Johns")
    repeated = utc("2010-11-07 02:45")  # 23:15 on the 6th by the clock, for the second time
    assert repeated.astimezone(zone).date() == date(2010, 11, 6)
    assert day_of(repeated, zone) == date(2010, 11, 7)


@pytest.mark.parametrize(
    ("name", "year"),
    # In 2010 and 2011 a clock was put back across midnight and a day left out; else a year is like another.
    [*((name, 2026) for name in ZONES), ("America/St_Johns", 2010), ("Pacific/Apia", 2011)],
)
@pytest.mark.parametrize("at", [time(0, 0), NIGHT, time(2, 30), time(23, 59)])
@pytest.mark.fault(89)
def test_hour_by_hour_through_a_year_each_day_falls_due_once_and_after_it_ended(
    name: str, year: int, at: time
) -> None:
    zone = ZoneInfo(name)
    now, end = utc(f"{year}-01-01 00:00"), utc(f"{year + 1}-01-01 00:00")
    written = [last_due(now, at, zone)]
    while (now := now + timedelta(hours=1)) < end:
        fresh = days_between(written[-1] + timedelta(days=1), last_due(now, at, zone), zone)
        assert all(start_of(day + timedelta(days=1), zone) <= now for day in fresh)
        assert len(fresh) <= 1, "a day was missed and had to be caught up"
        written += fresh
    assert written == days_between(written[0], written[-1], zone)
    assert len(written) >= 364


def test_a_report_is_due_at_the_time_of_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert due_at(date(2026, 11, 20), NIGHT, berlin) == utc("2026-11-20 23:10")
    assert last_due(utc("2026-11-20 23:09"), NIGHT, berlin) == date(2026, 11, 19)
    assert last_due(utc("2026-11-20 23:10"), NIGHT, berlin) == date(2026, 11, 20)
    assert next_due_at(utc("2026-11-20 23:10"), NIGHT, berlin) == utc("2026-11-21 23:10")


def test_days_that_never_were_are_not_listed() -> None:
    listed = days_between(date(2011, 12, 28), date(2012, 1, 1), ZoneInfo("Pacific/Apia"))
    assert [day.day for day in listed] == [28, 29, 31, 1]
    assert days_between(date(2026, 1, 2), date(2026, 1, 1), ZoneInfo("UTC")) == []
