"""Say each condition once, and its end once, also if it comes and goes; pure, with the time passed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.alerts.conditions import Condition
from pipeline.alerts.message import Message, begun, has_end, over
from pipeline.settings.sections import Event

FOR: dict[Event, timedelta] = {
    "paused": timedelta(minutes=1),
    "folder_gone": timedelta(minutes=1),
    "disk_low": timedelta(minutes=1),
    "report_failed": timedelta(minutes=10),
    "backup_failed": timedelta(minutes=10),
    # Once a database answers again, each worker gives its sign of life within seconds.
    "worker_silent": timedelta(seconds=30),
}
"""How long a condition must last until it is said; at once, if not listed."""

CLEAR = timedelta(minutes=5)
"""How long a condition must be absent until it is over. Each time that it was said in the last day doubles
this, so that what comes and goes all day is said a few times and not hundreds of times."""

LONGEST_CLEAR = timedelta(hours=4)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition since `began`; `is_said` after FOR, `gone_at` is when it was last seen to be absent."""

    condition: Condition
    began: datetime
    is_said: bool = False
    gone_at: datetime | None = None


@dataclass(slots=True)
class ActiveAlerts:
    """The conditions that stand, by key, and when each was said in the last day."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    said: dict[str, tuple[datetime, ...]] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """The keys of the conditions that are present."""
        return {key for key, alert in self.alerts.items() if alert.gone_at is None}

    def advance(self, found: Iterable[Condition], now: datetime, zone: ZoneInfo) -> list[Message]:
        """Take what is wrong at `now`, and return what is to be said of it; times are shown in `zone`."""
        present = {condition.key: condition for condition in found}
        self.said = {key: late for key, times in self.said.items() if (late := _lately(times, now))}
        messages = [self._present(condition, now, zone) for condition in present.values()]
        messages += [self._absent(key, now, zone) for key in [*self.alerts] if key not in present]
        return [message for message in messages if message]

    def _present(self, condition: Condition, now: datetime, zone: ZoneInfo) -> Message | None:
        alert = self.alerts.get(condition.key) or Alert(condition, now)
        began = min(alert.began, now)  # the clock may have been set back
        due = now - began >= FOR.get(condition.event, timedelta())
        self.alerts[condition.key] = Alert(condition, began, alert.is_said or due)
        if alert.is_said or not due:
            return None
        self.said[condition.key] = (*self.said.get(condition.key, ()), now)
        return begun(condition, began, now, zone)

    def _absent(self, key: str, now: datetime, zone: ZoneInfo) -> Message | None:
        alert = self.alerts[key]
        if not alert.is_said:
            del self.alerts[key]
            return None
        gone_at = min(alert.gone_at or now, now)
        if now - gone_at < self._clear(key):
            self.alerts[key] = replace(alert, gone_at=gone_at)
            return None
        del self.alerts[key]
        if not has_end(alert.condition.event):
            return None
        return over(alert.condition, alert.began, gone_at, now, zone)

    def _clear(self, key: str) -> timedelta:
        times = max(1, len(self.said.get(key, ())))
        return min(CLEAR * (1 << (times - 1)), LONGEST_CLEAR)


def _lately(times: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    return tuple(time for time in times if now - DAY < time <= now)
