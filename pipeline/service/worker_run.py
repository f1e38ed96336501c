"""One run of the worker: its steps between signals, its heartbeat, and what runs beside it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from time import monotonic

from sqlalchemy import Engine

from db.connection.engine import wal_bytes
from pipeline.alerts.alerts import Alerts
from pipeline.by_hand.follower import Follower
from pipeline.child_failures import advice
from pipeline.classifier.client import Classifier
from pipeline.classifier.model_switch import ModelSwitch
from pipeline.corrections.correct_undo_retry import moves_lock
from pipeline.decision import FAILED
from pipeline.errors import OK, SOME_FAILED, ModelError
from pipeline.keywords.step import KeywordStep
from pipeline.learning.nightly import Learning
from pipeline.nightly.schedule import Schedule
from pipeline.processes import collect_signals
from pipeline.requests.carry_out import RequestStep
from pipeline.service.housekeeping import Housekeeping
from pipeline.service.reporting import WorkersReporter
from pipeline.service.shared_ledger import OnReporter, SharedLedger
from pipeline.service.watchdog import Watchdog
from pipeline.settings.config import Settings
from pipeline.worker import counters, heartbeat
from pipeline.worker.heartbeat import Health, Heartbeat, InboxBeat, State
from pipeline.worker.loop import Worker

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Beside:
    """What works beside the worker's steps: between them, or in threads of its own."""

    learning: Learning
    alerts: Alerts
    follower: Follower | None
    housekeeping: Housekeeping
    watchdog: Watchdog
    shared: SharedLedger
    requests: RequestStep


class WorkerRun:
    """One run of the worker, from its first heartbeat to its last.

    `own` has the files of this worker, `everyone` those of all; `switch` is the classifier if its model can
    change.
    """

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        classifier: Classifier,
        switch: ModelSwitch | None,
        own: Engine,
        everyone: Engine,
        beside: Beside,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._classifier = classifier
        self._switch = switch
        self._own = own
        self._beside = beside
        self._keywords = KeywordStep(own, settings.filing.xmp, lambda: moves_lock(settings, 0.0))
        writer = WorkersReporter(settings, everyone, worker, beside.alerts.reports_written)
        reports = OnReporter(writer, beside.shared)
        at, zone = time.fromisoformat(settings.report.at), settings.report.zone
        self._reports = Schedule(reports, at, zone, "reports")
        self._nightly = (self._reports, beside.learning, beside.housekeeping)
        self._started_at = datetime.now(UTC)
        self._beat_at = 0.0
        self._ready = False
        self._last_inboxes: tuple[InboxBeat, ...] = ()
        self._last_health: tuple[Health, tuple[str, ...]] = ("ok", ())

    def live(self, once: bool) -> int:
        """Take steps until a signal, or with `once` until idle; return the exit code."""
        with collect_signals(_log_signal) as received:
            self._beat("starting")
            self._beside.watchdog.prepare("taking up files that were left unfinished")
            try:
                self._worker.start()
                if self._beside.follower:
                    self._beside.follower.start()
                if not once:
                    for work in self._nightly:
                        work.start()
                folders = ", ".join(map(str, self._settings.inboxes))
                log.info("loading model %s; drop photos into %s", self._worker.bundle.name, folders)
                while not received and not (once and self._is_done):
                    self._worker.step()
                    self._follow()
                    self._say_ready()
                    self._beat_if_due()
                    if once and (problem := self._worker.in_flight.classify.crash_loop):
                        raise ModelError(f"{problem}. {advice(problem)}")
                refused = self._worker.in_flight.refused  # before the inboxes are stopped
            finally:
                self._beat("stopping")
                for work in self._nightly:
                    work.stop()
                if self._beside.follower:
                    self._beside.follower.stop()
                self._worker.stop()
                self._beat("stopped")
        if received:
            return 128 + received[0]
        in_flight = self._worker.in_flight
        if left := in_flight.left:
            why = "being written to, put back by `undo`, not movable, or without their photo"
            log.warning("%d files were left: %s", left, why)
        some_failed = self._worker.outcomes[FAILED] or in_flight.unreachable or refused
        if failed := self._worker.outcomes[FAILED]:
            log.warning("%d files failed: `pawsort query --outcome failed` says why", failed)
        return SOME_FAILED if some_failed else OK

    @property
    def _is_done(self) -> bool:
        beside = self._keywords.idle and self._beside.requests.idle
        return self._worker.idle and beside and (not self._beside.follower or self._beside.follower.idle)

    def _follow(self) -> None:
        """Take up what people did by hand in `sorted`, between two steps: no photo is on its way there."""
        if self._worker.trouble:
            return
        if self._beside.follower:
            in_flight = self._worker.in_flight
            self._beside.follower.advance(busy=bool(in_flight.held or in_flight.intake.held))
        self._beside.requests.advance()
        self._keywords.advance()

    def _say_ready(self) -> None:
        if self._classifier.labels and not self._ready:
            self._ready = True
            log.info("ready: model %s on %s", self._worker.bundle.name, self._classifier.engine_name)

    def _beat_if_due(self) -> None:
        # In the thread that does the work, so that the beats of a worker that hangs stop.
        if monotonic() - self._beat_at >= min(BEAT_SECONDS, self._beside.watchdog.beat_seconds):
            self._beat(self._state())
            for work in self._nightly:
                work.follow_clock()

    def _beat(self, state: State) -> None:
        self._beat_at = monotonic()
        beat = self._heartbeat(state)
        if (beat.health, beat.reasons) != self._last_health:
            self._last_health = (beat.health, beat.reasons)
            level = logging.INFO if beat.health == "ok" else logging.WARNING
            log.log(level, "health is %s%s", beat.health, "".join(f"; {r}" for r in beat.reasons))
        self._beside.watchdog.beat(beat, self._worker.in_flight.classify.crash_loop)
        with contextlib.suppress(OSError):
            beat.write(self._settings.state / heartbeat.FILE_NAME)
        self._worker.counters.follow_starts(self._classifier.starts)
        with contextlib.suppress(OSError):  # written with the next beat
            self._worker.counters.write(self._settings.state / counters.FILE_NAME)
        worker = self._worker
        refusals = worker.in_flight.place.refusals.reasons
        counted = worker.counters
        self._beside.shared.follow(beat)
        restarts = counted.classifier_restarts
        self._beside.alerts.follow(beat, counted.filed, restarts, refusals, self._beside.shared.silences)
        self._beside.shared.note_said(self._beside.alerts.silences_said)

    def _heartbeat(self, state: State) -> Heartbeat:
        worker = self._worker
        agenda = self._reports.agenda
        switch = self._switch
        refused = switch.problem if switch else None
        health, reasons = worker.in_flight.health(
            worker.trouble, agenda.problem, wal_bytes(self._own), refused
        )
        follower, housekeeping = self._beside.follower, self._beside.housekeeping
        notes = (*(follower.notes if follower else ()), *housekeeping.notes)
        if notes:
            health, reasons = "degraded" if health == "ok" else health, (*reasons, *notes)
        last_at, last = worker.last_filed or (None, None)
        return Heartbeat(
            pid=os.getpid(),
            started_at=self._started_at,
            at=datetime.now(UTC),
            state=state,
            health=health,
            reasons=reasons,
            inboxes=self._inboxes() if state != "stopped" else self._last_inboxes,
            engine=self._classifier.engine_name or None,
            model=worker.bundle.name,
            model_version=switch.active.version.number if switch else None,
            model_sha256=worker.bundle.sha256,
            model_problem=refused,
            learning=self._beside.learning.notice,
            rate_per_second=round(worker.rate, 3),
            waiting=worker.in_flight.waiting,
            last_filed_at=last_at,
            last_file=os.fsdecode(last.source).encode("utf-8", "backslashreplace").decode() if last else None,
            disk_free_bytes=_free_bytes(self._settings.sorted),
            next_report_at=agenda.next_look(datetime.now(UTC)) if self._beside.shared.reports else None,
            report_problem=agenda.problem,
            backup_problem=self._beside.housekeeping.problem_of("backup"),
            crash_loop=worker.in_flight.classify.crash_loop,
        )

    def _state(self) -> State:
        if self._worker.trouble:
            return "paused"
        return "watching" if self._classifier.labels else "starting"

    def _inboxes(self) -> tuple[InboxBeat, ...]:
        self._last_inboxes = tuple(
            InboxBeat(
                path=str(status.path),
                mode="native" if status.state == "watching" else "polling",
                health="red" if status.state == "missing" else "degraded" if status.degraded else "ok",
                reason=status.note or None,
                waiting=status.settling + status.resting,
                overflows=status.lost_events,
            )
            for status in sorted((i.status() for i in self._worker.inboxes), key=lambda s: s.path)
        )
        return self._last_inboxes


def _log_signal(number: int) -> None:
    log.info("%s: finishing the batch; once more to stop at once", signal.Signals(number).name)


def _free_bytes(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
