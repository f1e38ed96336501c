"""Which other workers of the database are silent; one worker, the reporter, says so for all. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pipeline.alerts.active_alerts import ActiveAlerts, Alert
from pipeline.alerts.conditions import Condition

_KEY = "worker_silent "


@dataclass(frozen=True, slots=True)
class SilentWorker:
    """A worker that is silent, or was when an alert said so at `said_at`."""

    name: str
    is_silent: bool
    said_at: datetime | None
    last_sign_at: datetime | None

    @property
    def condition(self) -> Condition:
        """What an alert says of it."""
        last = f"; the last was of {self.last_sign_at:%Y-%m-%d %H:%M:%S} UTC" if self.last_sign_at else ""
        why = "it was killed, hangs, or its machine or network is down"
        sentence = f"The worker {self.name} gives no sign of life{last}: {why}. Its photos wait."
        end = f" If it is gone for good, `pawsort workers --retire {self.name}` ends this."
        return Condition("worker_silent", f"{_KEY}{self.name}", sentence + end)


@dataclass(frozen=True, slots=True)
class Silences:
    """The silent workers, as the database says; `watches` is whether this worker is the one that says so.

    `reports` is whether it writes the reports, and so compares their figures: the only one does on SQLite.
    """

    watches: bool = False
    workers: tuple[SilentWorker, ...] = ()
    reports: bool = True

    @property
    def conditions(self) -> Iterator[Condition]:
        """What is wrong now."""
        return (worker.condition for worker in self.workers if self.watches and worker.is_silent)


NONE_WATCHED = Silences()


def take_over(active: ActiveAlerts, silences: Silences) -> None:
    """Replace what this worker remembers of others by what the database says was said of them."""
    active.alerts = {key: alert for key, alert in active.alerts.items() if not key.startswith(_KEY)}
    for worker in silences.workers if silences.watches else ():
        if worker.said_at:
            condition = worker.condition
            active.alerts[condition.key] = Alert(condition, worker.said_at, is_said=True)


def leave_drift(active: ActiveAlerts) -> None:
    """Forget alerts of drift, which another worker follows from now on."""
    others = {key: alert for key, alert in active.alerts.items() if alert.condition.event != "drift"}
    active.alerts = others


def said(active: ActiveAlerts) -> frozenset[str]:
    """Return the names of the workers whose silence was said, and its end was not."""
    found = (key for key, alert in active.alerts.items() if key.startswith(_KEY) and alert.is_said)
    return frozenset(key.removeprefix(_KEY) for key in found)
