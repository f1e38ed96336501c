"""Measure what the heartbeat does not say: counts of the last hour, disks, and drift."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pipeline.alerts.conditions import Disk, Measured
from pipeline.decision import FAILED
from pipeline.reports import drift_alarms
from pipeline.reports.drift_alarms import DriftAlarm

HOUR_SECONDS = 3600.0
LOOK_SECONDS = 30.0
"""Between two looks at disks and drift."""

BACK_SECONDS = 600.0
"""How long a worker counts as back; one that is killed again in this time is not said to be back again."""


class HourlySum:
    """The sum of the last hour, by minutes."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, int]] = deque()

    def add(self, count: int, seconds: float) -> None:
        """Add what was counted at `seconds` of a clock that never goes back."""
        minute = int(seconds // 60)
        if self._minutes and self._minutes[-1][0] == minute:
            count += self._minutes.pop()[1]
        if count:
            self._minutes.append((minute, count))

    def total(self, seconds: float) -> int:
        """Return the sum at `seconds`."""
        while self._minutes and self._minutes[0][0] < (seconds - HOUR_SECONDS) // 60:
            self._minutes.popleft()
        return sum(count for _, count in self._minutes)


class Measuring:
    """Counts and looks for a worker with these folders; `began` and all seconds are of one clock.

    `ended_at` is the last sign of life of a worker that ended without stopping.
    """

    def __init__(self, sorted: Path, state: Path, began: float, ended_at: datetime | None = None) -> None:
        self._sorted = sorted
        self._state = state
        self._began = began
        self._ended_at = ended_at
        self._hourly = (HourlySum(), HourlySum(), HourlySum())
        self._counted: tuple[int, int, int] | None = None
        self._look_at = began
        self._disks: tuple[Disk, ...] = ()
        self._drift_changed = 0
        self._drift: tuple[DriftAlarm, ...] = ()

    def measure(
        self, outcomes: Mapping[str, int], restarts: int, refusals: tuple[str, ...], seconds: float
    ) -> Measured:
        """Return what there is to say, from counts that only grow; the first ones are of earlier runs."""
        counted = (sum(outcomes.values()), outcomes.get(FAILED, 0), restarts)
        for hourly, now, before in zip(self._hourly, counted, self._counted or counted, strict=True):
            hourly.add(now - before, seconds)
        self._counted = counted
        if seconds >= self._look_at:
            self._look(seconds)
        filed, failed, restarts = (hourly.total(seconds) for hourly in self._hourly)
        return Measured(
            filed=filed,
            failed=failed,
            restarts=restarts,
            refusals=refusals,
            disks=self._disks,
            drift=self._drift,
            ended_at=self._ended_at if seconds < self._began + BACK_SECONDS else None,
        )

    def _look(self, seconds: float) -> None:
        self._look_at = seconds + LOOK_SECONDS
        found = {_file_system(folder): folder for folder in (self._state, self._sorted)}
        self._disks = tuple(disk for folder in found.values() if (disk := _space(folder)))
        if (changed := _changed_at(self._state / drift_alarms.FILE_NAME)) != self._drift_changed:
            self._drift_changed, drift = changed, drift_alarms.read(self._state)
            self._drift = drift.alarms if drift else ()


def _changed_at(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _file_system(folder: Path) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _space(folder: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(str(folder), usage.free, usage.total)
