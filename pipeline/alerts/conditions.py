"""Return what is wrong now, from one heartbeat and what is measured beside it; pure.

A condition that was there before stays until it is clearly over: a disk at its limit raises one alert.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from pipeline.reports.drift_alarms import DriftAlarm
from pipeline.settings.sections import Event
from pipeline.worker.heartbeat import Heartbeat

DISK_SHARE, DISK_BYTES = 0.05, 5_000_000_000
"""A disk is nearly full with less free than this share of it, or than these bytes if they are less."""

DISK_ENOUGH = 1.2
"""Times the limit that must be free until it is no longer nearly full."""

FAILED_LEAST, FAILED_SHARE = 10, 0.25
"""Files that failed in the last hour, and their share of the files of that hour, which are many failures."""

FAILED_FEW = 0.125
"""The share below which they are no longer many."""

RESTARTS = 5
"""Restarts of the classifier in the last hour that are many; one file that crashes it costs three."""

CRASH_LOOP = "crash loop"
"""The key of a classifier that crashes with every photo, so that none is filed."""

REFUSED_VERSION = "refused version"
"""The key of a learnt version that is refused, while the worker goes on with another."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is wrong now; `key` identifies it over time."""

    event: Event
    key: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The free and the whole space, in bytes, of the disk of a folder."""

    folder: str
    free: int
    total: int

    @property
    def limit(self) -> float:
        """The free bytes below which it is nearly full."""
        return min(DISK_SHARE * self.total, DISK_BYTES)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured beside the heartbeat; `filed`, `failed` and `restarts` are counts of the last hour.

    `refusals` say which folders in `sorted` take no files. `ended_at` is the last sign of life of a worker
    that ended without stopping shortly before this one began.
    """

    filed: int = 0
    failed: int = 0
    restarts: int = 0
    refusals: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()
    drift: tuple[DriftAlarm, ...] = ()
    ended_at: datetime | None = None


def conditions(beat: Heartbeat, measured: Measured, before: Collection[str]) -> list[Condition]:
    """Return what is wrong now; `before` has the keys of the conditions that were there a moment ago."""
    return [
        *_of_the_worker(beat, measured),
        *_of_folders(beat, measured, before),
        *_of_files(beat, measured, before),
        *(Condition("drift", f"drift {alarm.measure}", alarm.sentence) for alarm in measured.drift),
    ]


def _of_the_worker(beat: Heartbeat, measured: Measured) -> Iterator[Condition]:
    if beat.state == "paused":
        why = beat.reasons[0] if beat.reasons else "the reason is in the log"
        yield Condition("paused", "paused", f"{why}. Nothing is lost; the worker tries again by itself.")
    if beat.model_problem:
        yield Condition("refused", REFUSED_VERSION, beat.model_problem)
    if beat.report_problem:
        yield Condition("report_failed", "report_failed", f"{beat.report_problem}. It is tried again.")
    if beat.backup_problem:
        sentence = f"{beat.backup_problem.rstrip('.')}. It is tried again; earlier backups are kept."
        yield Condition("backup_failed", "backup_failed", sentence)
    if measured.ended_at and beat.state != "starting":
        when = f"the last sign of it is of {measured.ended_at:%Y-%m-%d %H:%M:%S} UTC"
        why = "it was killed, or the machine went down"
        yield Condition("back", "back", f"The worker before ended without stopping: {why}; {when}.")


def _of_folders(beat: Heartbeat, measured: Measured, before: Collection[str]) -> Iterator[Condition]:
    gone = [inbox for inbox in beat.inboxes if inbox.health == "red"]
    for inbox in gone:
        key, why = f"folder_gone {inbox.path}", inbox.reason or "it is missing"
        yield Condition("folder_gone", key, f"{inbox.path}: {why}")
    if measured.refusals:
        yield Condition("folder_gone", "folder_gone sorted", "; ".join(measured.refusals))
    others = gone or measured.refusals or beat.crash_loop
    if beat.health == "red" and beat.state != "paused" and not others:
        yield Condition("folder_gone", "folder_gone spool", "; ".join(beat.reasons[:1]))
    for disk in measured.disks:
        key = f"disk_low {disk.folder}"
        if disk.free < disk.limit * (DISK_ENOUGH if key in before else 1.0):
            free = f"{_size(disk.free)} of {_size(disk.total)} are free"
            limit = f"below {_size(disk.limit)} is little"
            yield Condition("disk_low", key, f"{disk.folder}: {free}; {limit}. Make room.")


def _of_files(beat: Heartbeat, measured: Measured, before: Collection[str]) -> Iterator[Condition]:
    share = FAILED_FEW if "failures" in before else FAILED_SHARE
    if measured.failed >= FAILED_LEAST and measured.failed >= share * measured.filed:
        of_all = f"{measured.failed:,} of {measured.filed:,} files of the last hour failed"
        yield Condition("failures", "failures", f"{of_all}; `pawsort query --outcome failed` says why.")
    if beat.crash_loop:
        waits = "Photos wait, and none is lost; look for memory, permissions and libraries in the log."
        yield Condition("child_restarts", CRASH_LOOP, f"{beat.crash_loop}. {waits}")
    if measured.restarts >= (1 if "child_restarts" in before else RESTARTS):
        often = f"It was started again {measured.restarts} times in the last hour"
        what = "the files in work then are tried alone, and fail if they are the cause"
        yield Condition("child_restarts", "child_restarts", f"{often}; {what}. See the log.")


def _size(count: float) -> str:
    return f"{count / 1e9:.{count < 1e10:d}f} GB" if count >= 1e8 else f"{count / 1e6:.{count < 1e7:d}f} MB"
