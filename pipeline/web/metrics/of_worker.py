"""The metrics of the worker: gauges of its last heartbeat, and its counters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from pipeline.reports.drift import RULES
from pipeline.web.metrics.exposition import Metric, counter, gauge, histogram
from pipeline.worker.counters import Counters
from pipeline.worker.heartbeat import Health, Heartbeat, State
from pipeline.worker.known_workers import WorkerSeen
from pipeline.worker.status import Status


def gauges(status: Status | None) -> Iterator[Metric]:
    """Yield the present state of the worker; without a `status`, that none is known to run."""
    alive = status is not None and status.worker in ("running", "starting")
    yield gauge("pawsort_worker_up", "1 if a worker is running.", ({}, float(alive)))
    if status is None:
        return
    yield from _drift(status)
    if status.beat:
        yield from _of_beat(status.beat)
        yield from _model(status.beat)


def counted(counters: Counters | None) -> Iterator[Metric]:
    """Yield what the worker counts; nothing if that cannot be read, since 0 would mean a new beginning."""
    if counters is None:
        return
    outcomes = [({"outcome": name}, float(count)) for name, count in counters.filed.items()]
    reasons = [({"reason": name}, float(count)) for name, count in counters.failed.items()]
    arrived, restarts = float(counters.arrived), float(counters.classifier_restarts)
    yield counter("pawsort_arrived_files_total", "Files taken from inboxes.", ({}, arrived))
    yield counter("pawsort_filed_files_total", "Files filed, by outcome.", *outcomes)
    yield counter("pawsort_failed_files_total", "Files filed as failed, by reason.", *reasons)
    words = "Processes of the classifier that replaced another one."
    yield counter("pawsort_classifier_restarts_total", words, ({}, restarts))
    seconds = counters.seconds
    words = "Seconds from the moment at which the inbox first saw a file until it was filed."
    yield histogram(
        "pawsort_filing_duration_seconds", words, seconds.bounds, seconds.counts, round(seconds.sum, 3)
    )


def of_all(workers: Sequence[WorkerSeen]) -> Iterator[Metric]:
    """Yield the workers that share a database; nothing on SQLite, which has one.

    Their last signs of life are ages, since they are times of the server's clock, which may differ from that
    of Prometheus.
    """
    up = [({"worker": each.name}, float(each.state == "running")) for each in workers]
    yield gauge("pawsort_ledger_worker_up", "1 if the worker of the database gives signs of life.", *up)
    silent = [({"worker": each.name}, float(each.state == "silent")) for each in workers]
    words = "1 if the worker gives no sign of life, did not stop in order and is not retired."
    yield gauge("pawsort_ledger_worker_silent", words, *silent)
    words = "Seconds since the last sign of life of the worker, by the clock of the database."
    ages = [({"worker": each.name}, each.idle_seconds) for each in workers if each.idle_seconds is not None]
    yield gauge("pawsort_ledger_worker_beat_age_seconds", words, *ages)
    words = "Files in inboxes and spool of the worker, as it said last."
    waiting = [({"worker": w.name}, float(w.waiting)) for w in workers if w.waiting is not None]
    yield gauge("pawsort_ledger_worker_waiting_files", words, *waiting)
    reports = [({"worker": each.name}, float(each.reports)) for each in workers]
    yield gauge("pawsort_ledger_worker_reports", "1 for the worker that writes the reports of all.", *reports)


def moment(name: str, words: str, seconds: float | None) -> Metric:
    """Return a time, in seconds since 1970; one that is unknown has no sample."""
    return gauge(name, words, *([] if seconds is None else [({}, seconds)]))


def _of_beat(beat: Heartbeat) -> Iterator[Metric]:
    health = [({"health": name}, float(beat.health == name)) for name in get_args(Health)]
    yield gauge("pawsort_worker_health", "1 for the current health of the worker.", *health)
    states = [({"state": name}, float(beat.state == name)) for name in get_args(State)]
    yield gauge("pawsort_worker_state", "1 for what the worker did at its last heartbeat.", *states)
    yield from _moments(beat)
    yield gauge("pawsort_waiting_files", "Files in inboxes and spool.", ({}, float(beat.waiting)))
    words = "Files filed, over the last minute."
    yield gauge("pawsort_filed_files_per_second", words, ({}, beat.rate_per_second))
    free = beat.disk_free_bytes
    words = "Free space on the disk of the sorted folder."
    yield gauge("pawsort_disk_free_bytes", words, *([] if free is None else [({}, float(free))]))
    inboxes = [({"inbox": inbox.path}, float(inbox.health != "red")) for inbox in beat.inboxes]
    yield gauge("pawsort_inbox_up", "1 if the inbox is available.", *inboxes)
    failing = float(beat.report_problem is not None)
    yield gauge("pawsort_reports_failing", "1 while reports cannot be written.", ({}, failing))
    failing = float(beat.backup_problem is not None)
    yield gauge("pawsort_backups_failing", "1 while the nightly backup cannot be made.", ({}, failing))


def _moments(beat: Heartbeat) -> Iterator[Metric]:
    for name, words, at in (
        ("worker_start_time", "Time at which the worker started.", beat.started_at),
        ("heartbeat_timestamp", "Time of the last heartbeat of the worker.", beat.at),
        ("last_filed_timestamp", "Time at which the last file was filed.", beat.last_filed_at),
        (
            "next_report_timestamp",
            "Time at which the worker next looks for due reports.",
            beat.next_report_at,
        ),
    ):
        yield moment(f"pawsort_{name}_seconds", words, at.timestamp() if at else None)


def _model(beat: Heartbeat) -> Iterator[Metric]:
    """Yield the model that files photos, and whether it is the one in force."""
    if beat.model is None:
        return
    names = {"model": beat.model, "sha256": beat.model_sha256 or ""}
    yield gauge("pawsort_model_info", "1 for the model that files photos.", (names, 1.0))
    if beat.model_version is None:
        return
    version, refused = float(beat.model_version), float(beat.model_problem is not None)
    yield gauge("pawsort_model_version", "Version of that model, 0 for the base.", ({}, version))
    yield gauge("pawsort_model_refused", "1 if the version in force cannot be used.", ({}, refused))


def _drift(status: Status) -> Iterator[Metric]:
    if status.drift is None:
        return
    alarmed = {alarm.measure for alarm in status.drift.alarms}
    samples = [({"measure": name}, float(name in alarmed)) for name in RULES]
    words = "1 if this figure of photos is out of line with the last weeks."
    yield gauge("pawsort_drift", words, *samples)
