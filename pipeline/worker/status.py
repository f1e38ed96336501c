"""The state of the worker: its last heartbeat, its lock, and the counts of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from db.queries import listing
from pipeline.classifier import own_threshold
from pipeline.decision import FAILED, UNCERTAIN
from pipeline.logs import printable
from pipeline.reports import drift_alarms
from pipeline.reports.drift_alarms import DriftState
from pipeline.settings.config import Settings
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat, Liveness
from pipeline.worker.known_workers import NONE_WATCHES, WorkerSeen, another_reports, none_watches, seen
from pipeline.worker.locks import holder


@dataclass(frozen=True, slots=True)
class Status:
    """State of the worker; `counts` has the files of each outcome, and those `waiting` to be filed.

    `problem` is the reason why the files could not be counted, None if they were. `own_threshold` is a text
    on the threshold of `decision.calibration: own`, None without that setting. `drift` are figures out of
    line, None before the first nightly report or if another worker reports; the worker is well all the same.
    `workers` are all that share the database, none on SQLite.
    """

    worker: Liveness
    pid: int | None
    counts: dict[str, int]
    beat: Heartbeat | None
    problem: str | None = None
    own_threshold: str | None = None
    drift: DriftState | None = None
    workers: tuple[WorkerSeen, ...] = ()

    @property
    def well(self) -> bool:
        """Whether a worker runs and can go on."""
        at_work = self.worker in ("running", "starting") and self.problem is None
        return at_work and (self.beat is None or self.beat.health != "red")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "worker": self.worker,
            "pid": self.pid,
            "counts": self.counts,
            "total": sum(self.counts.values()),
            "problem": self.problem,
            "own_threshold": self.own_threshold,
            "heartbeat": self.beat.as_dict() if self.beat else None,
            "drift": self.drift.as_dict() if self.drift else None,
            "workers": [worker.as_dict() for worker in self.workers],
        }

    def as_text(self) -> str:
        """Return a few lines for people."""
        lines = [f"worker     {self.worker}" + (f", process {self.pid}" if self.pid else "")]
        if self.beat and self.worker in ("running", "stalled"):
            lines += _beat_lines(self.beat)
        if self.own_threshold:
            lines.append(f"threshold  {self.own_threshold}")
        lines += (
            [f"drift      {printable(alarm.sentence)}" for alarm in self.drift.alarms] if self.drift else []
        )
        if len(self.workers) > 1:
            lines += [f"worker     {worker.as_line()}" for worker in self.workers]
        if none_watches(self.workers):
            lines.append(f"alerts     {NONE_WATCHES}")
        if self.problem:
            return "\n".join([*lines, f"database   {printable(self.problem)}"])
        lines += [f"{outcome:10} {count}" for outcome, count in self.counts.items()]
        return "\n".join([*lines, f"{'total':10} {sum(self.counts.values())}"])


def _beat_lines(beat: Heartbeat) -> list[str]:
    lines = [
        f"state      {beat.state}, {beat.rate_per_second:g} files a second",
        f"health     {beat.health}" + "".join(f"; {printable(reason)}" for reason in beat.reasons),
        f"model      {beat.model} on {beat.engine or 'no engine yet'}",
    ]
    if beat.learning:
        lines.append(f"learning   {printable(beat.learning)}")
    for inbox in beat.inboxes:
        why = f"; {printable(inbox.reason)}" if inbox.reason else ""
        lost = f", {inbox.overflows} overflows of events" if inbox.overflows else ""
        lines.append(f"inbox      {printable(inbox.path)} ({inbox.mode}), {inbox.waiting} waiting{lost}{why}")
    if beat.last_file and beat.last_filed_at:
        lines.append(f"last file  {printable(beat.last_file)} at {beat.last_filed_at:%Y-%m-%d %H:%M:%S} UTC")
    if beat.disk_free_bytes is not None:
        lines.append(f"disk free  {beat.disk_free_bytes / 1e9:.1f} GB")
    return lines


def read(
    settings: Settings,
    engine: Engine | None,
    problem: str | None = None,
    count: Callable[[Engine], dict[str, int]] = listing.counts,
) -> Status:
    """Return the state of the worker of `settings`; without an `engine`, for a `problem`, nothing is counted.

    `count` is given by callers that ask often and cache the counts.
    """
    pid = holder(settings.state)
    beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
    if beat and pid and beat.pid != pid:
        beat = None  # written by an earlier worker; this one has not written any yet
    worker = heartbeat.liveness(beat, datetime.now(UTC), pid is not None)
    own, drift = own_threshold.described(settings), drift_alarms.read(settings.state)
    if problem:
        return Status(worker, pid, {}, beat, problem, own, drift)
    counts, workers = counts_of(engine, count), seen(engine, settings.state)
    drift = None if another_reports(workers) else drift
    return Status(worker, pid, counts, beat, None, own, drift, workers)


def counts_of(engine: Engine | None, count: Callable[[Engine], dict[str, int]]) -> dict[str, int]:
    """Count the files by outcome; uncertain, failed and waiting ones come last, also if there are none."""
    counted = dict(count(engine)) if engine else {}
    last = {outcome: counted.pop(outcome, 0) for outcome in (UNCERTAIN, FAILED, "waiting")}
    return {**counted, **last}
