"""What comes and goes is said a few times; what is there from the start to the end, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.alerts.active_alerts import ActiveAlerts
from pipeline.alerts.conditions import Condition
from pipeline.alerts.message import Message
from pipeline.alerts.quiet_hours import QuietHours
from tests.support.notified import START

PAUSED = Condition("paused", "paused", "the disk is full")
UTC = ZoneInfo("UTC")


def said(is_there: Callable[[int], bool], minutes: int) -> list[Message]:
    """Return what is said in so many minutes, of a condition that is there in some of them."""
    active = ActiveAlerts()
    times = [START + timedelta(minutes=minute) for minute in range(minutes)]
    return [
        message
        for minute, now in enumerate(times)
        for message in active.advance([PAUSED] if is_there(minute) else [], now, UTC)
    ]


@pytest.mark.parametrize("period", [2, 5, 12, 30, 60])
def test_what_flaps_all_day_is_said_a_few_times(period: int) -> None:
    messages = said(lambda minute: minute % (2 * period) < period, 24 * 60)
    assert 1 <= len([m for m in messages if not m.over]) <= 6
    assert len(messages) <= 11


def test_an_end_says_from_when_to_when() -> None:
    begun, over = said(lambda minute: 10 <= minute < 40, 100)
    assert "Since 2026-11-30 12:10" in begun.body
    assert over.body == "Over since 2026-11-30 12:40. Since 2026-11-30 12:10: the disk is full"


def test_a_clock_that_is_set_back_delays_no_alert_for_long() -> None:
    active = ActiveAlerts()
    active.advance([PAUSED], START + timedelta(days=900), UTC)
    assert not active.advance([PAUSED], START, UTC)
    assert active.advance([PAUSED], START + timedelta(minutes=1), UTC)
    active.advance([], START + timedelta(days=900), UTC)
    active.advance([], START, UTC)
    assert active.advance([], START + timedelta(minutes=5), UTC)[0].over


@pytest.mark.parametrize(
    ("hours", "hour", "is_quiet"),
    [
        ("22:00-07:00", 21, False), ("22:00-07:00", 22, True), ("22:00-07:00", 6, True),
        ("22:00-07:00", 7, False), ("12:00-13:00", 12, True), ("12:00-13:00", 13, False),
    ],
)  # fmt: skip
def test_quiet_hours_may_pass_midnight(hours: str, hour: int, is_quiet: bool) -> None:
    from pipeline.settings.sections import NotifySettings

    quiet = QuietHours(NotifySettings(quiet=hours).quiet_hours, UTC)
    message = said(lambda _: True, 2)[0]
    assert quiet.let_through([message], START.replace(hour=hour)) == ([] if is_quiet else [message])
