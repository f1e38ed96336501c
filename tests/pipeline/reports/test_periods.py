from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pipeline.reports.periods import Period, complete, due

NOVEMBER = Period("months", date(2026, 11, 1), date(2026, 11, 30))
NIGHT = datetime(2026, 12, 1, 0, 10, tzinfo=UTC)
LAST = date(2026, 11, 30)


def names(first: date, last: date) -> list[str]:
    return [period.name for period in complete(first, last)]


def test_a_month_and_a_year_count_once_their_last_day_is_over() -> None:
    first = date(2026, 11, 20)
    assert names(first, date(2026, 11, 29)) == []
    assert names(first, LAST) == ["2026-11"]
    assert names(first, date(2026, 12, 31)) == ["2026-11", "2026-12", "2026"]
    assert names(date(2023, 12, 31), date(2025, 1, 30)) == [
        "2023-12", *(f"2024-{month:02}" for month in range(1, 13)), "2023", "2024",
    ]  # fmt: skip


def test_months_have_the_days_of_the_calendar() -> None:
    for year in (1999, 2000, 2024, 2026):
        periods = complete(date(year, 1, 1), date(year, 12, 31))
        days = [(each.first + timedelta(days=n)) for each in periods[:-1] for n in range(_length(each))]
        assert days == [date(year, 1, 1) + timedelta(days=n) for n in range(_length(periods[-1]))]


def _length(period: Period) -> int:
    return (period.last - period.first).days + 1


def test_a_summary_is_due_until_it_is_as_new_as_the_newest_report_of_its_days() -> None:
    def is_due(written: datetime | None, *days: tuple[date, datetime]) -> bool:
        times = {"2026-11": written} if written else {}
        return due([NOVEMBER], times, dict(days), NIGHT + timedelta(hours=1)) == [NOVEMBER]

    assert is_due(None) and is_due(None, (LAST, NIGHT))
    assert not is_due(NIGHT, (LAST, NIGHT))
    assert is_due(NIGHT, (LAST, NIGHT), (date(2026, 11, 3), NIGHT + timedelta(seconds=1)))
    assert not is_due(NIGHT, (LAST, NIGHT), (date(2026, 12, 1), NIGHT + timedelta(seconds=1)))


def test_a_summary_of_a_clock_that_was_ahead_is_not_trusted() -> None:
    assert due([NOVEMBER], {"2026-11": NIGHT + timedelta(days=300)}, {LAST: NIGHT}, NIGHT) == [NOVEMBER]
