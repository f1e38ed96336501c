"""The worker as a program: folders, locks, model, signals, signs of life, nightly reports."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime, time
from pathlib import Path
from time import monotonic

from sqlalchemy import Engine

from db.connection.engine import open_database, reserved, wal_bytes
from db.connection.errors import DatabaseError
from db.queries.listing import counts
from models.bundle.bundle import Bundle
from pipeline.classifier.client import Classifier
from pipeline.classifier.configured_model import load_bundle, outcome_folders, worker_classifier
from pipeline.config import Settings
from pipeline.corrections.corrections import recover_moves
from pipeline.decision import FAILED
from pipeline.errors import OK, SOME_FAILED, LockError, PawsortError, SettingsError, translated
from pipeline.files import moves
from pipeline.permissions import exposed, limited
from pipeline.processes import collect_signals
from pipeline.reports.daily import Reporter
from pipeline.reports.schedule import ReportSchedule, Schedule
from pipeline.worker import heartbeat
from pipeline.worker.health import health_of
from pipeline.worker.heartbeat import Health, Heartbeat, InboxBeat, State
from pipeline.worker.held_file import InProgressFile
from pipeline.worker.locks import worker_lock
from pipeline.worker.loop import Worker

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0


def run(
    settings: Settings,
    *,
    once: bool = False,
    classifier: Classifier | None = None,
    on_filed: Callable[[Sequence[InProgressFile]], None] = lambda _: None,
    beside: AbstractContextManager[None] | None = None,
) -> int:
    """Run the worker until a signal, or with `once` until all that is there is filed; return the exit code.

    `beside` is entered once it is certain that this is the only worker, and left when it ends. Raises
    PawsortError when it cannot start or go on.
    """
    prepare_folders(settings)
    with ExitStack() as stack:
        stack.enter_context(translated())
        stack.enter_context(limited(settings.permissions))
        stack.enter_context(worker_lock(settings))
        bundle = load_bundle(settings)
        engine = open_database(settings.database_url, "worker")
        stack.callback(engine.dispose)
        stack.enter_context(reserved(engine))
        refuse_bare_mount(settings, bundle, engine)
        probe_folders(settings, bundle)
        finish_moves(engine, settings)
        for note in exposed(settings):
            log.warning("%s", note)
        if classifier is None:
            classifier = worker_classifier(settings, bundle)
        stack.enter_context(beside or nullcontext())
        worker = Worker(settings, bundle, engine, classifier, on_filed=on_filed)
        writer = reporter(settings, engine)
        schedule = Schedule(writer, ReportSchedule(writer.at, writer.zone))
        code = WorkerRun(settings, bundle, worker, classifier, schedule, engine).live(once)
        if once:
            report_so_far(writer)
        return code


def reporter(settings: Settings, engine: Engine) -> Reporter:
    """Return what writes the reports that the settings ask for. Raises ModelError."""
    outcomes = outcome_folders(load_bundle(settings))
    at = time.fromisoformat(settings.report.at)
    return Reporter(engine, settings.reports, settings.report.zone, at, outcomes)


def finish_moves(engine: Engine, settings: Settings) -> None:
    """Bring to their end the corrections and undos that were cut off, unless one is at work just now."""
    try:
        for change in recover_moves(engine, settings):
            log.warning("a correction or undo was cut off; brought to its end: %s", change)
    except LockError as error:
        log.info("%s; its files are left alone until it ends", error)


def report_so_far(writer: Reporter) -> None:
    """Write the reports that were missed, and those of today so far; a failure is only logged."""
    now = datetime.now(UTC)
    today = now.astimezone(writer.zone).date()
    try:
        writer.write_due(now)
        writer.write_range(today, today, now)
    except (OSError, DatabaseError) as error:
        log.error("reports: %s; `pawsort report` tries again", error)


class WorkerRun:
    """One run of the worker, from its first sign of life to its last."""

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        worker: Worker,
        classifier: Classifier,
        schedule: Schedule,
        engine: Engine,
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._worker = worker
        self._classifier = classifier
        self._schedule = schedule
        self._engine = engine
        self._started_at = datetime.now(UTC)
        self._beat_at = 0.0
        self._ready = False
        self._last_inboxes: tuple[InboxBeat, ...] = ()
        self._last_health: tuple[Health, tuple[str, ...]] = ("ok", ())

    def live(self, once: bool) -> int:
        """Take steps until it is time to stop; return the exit code."""
        with collect_signals(_log_signal) as received:
            self._beat("starting")
            try:
                self._worker.start()
                if not once:
                    self._schedule.start()
                log.info(
                    "loading model %s; drop photos into %s",
                    self._bundle.name,
                    ", ".join(map(str, self._settings.inboxes)),
                )
                while not received and not (once and self._worker.idle):
                    self._worker.step()
                    self._say_ready()
                    self._beat_if_due()
                refused = self._worker.refused  # before the inboxes are left
            finally:
                self._beat("stopping")
                self._schedule.stop()
                self._worker.stop()
                self._beat("stopped")
        if received:
            return 128 + received[0]
        if left := self._worker.left:
            log.warning("%d files were left: written to, put back by `undo`, or not to be moved", left)
        worker = self._worker
        return SOME_FAILED if worker.outcomes[FAILED] or worker.unreachable or refused else OK

    def _say_ready(self) -> None:
        if self._classifier.labels and not self._ready:
            self._ready = True
            log.info("ready: model %s on %s", self._bundle.name, self._classifier.engine_name)

    def _beat_if_due(self) -> None:
        # In the thread that does the work, so that a worker that hangs looks dead.
        if monotonic() - self._beat_at >= BEAT_SECONDS:
            self._beat(self._state())

    def _beat(self, state: State) -> None:
        self._beat_at = monotonic()
        beat = self._heartbeat(state)
        if (beat.health, beat.reasons) != self._last_health:
            self._last_health = (beat.health, beat.reasons)
            level = logging.INFO if beat.health == "ok" else logging.WARNING
            log.log(level, "health is %s%s", beat.health, "".join(f"; {r}" for r in beat.reasons))
        with contextlib.suppress(OSError):
            beat.write(self._settings.state / heartbeat.FILE_NAME)

    def _heartbeat(self, state: State) -> Heartbeat:
        worker = self._worker
        health, reasons = health_of(worker, self._schedule.agenda, wal_bytes(self._engine))
        last_at, last = worker.last_filed or (None, None)
        agenda = self._schedule.agenda
        return Heartbeat(
            pid=os.getpid(),
            started_at=self._started_at,
            at=datetime.now(UTC),
            state=state,
            health=health,
            reasons=reasons,
            inboxes=self._inboxes() if state != "stopped" else self._last_inboxes,
            engine=self._classifier.engine_name or None,
            model=self._bundle.name,
            rate_per_second=round(worker.rate, 3),
            waiting=worker.waiting,
            last_filed_at=last_at,
            last_file=os.fsdecode(last.source).encode("utf-8", "backslashreplace").decode() if last else None,
            disk_free_bytes=_free_bytes(self._settings.sorted),
            next_report_at=agenda.next_look(datetime.now(UTC)),
            report_problem=agenda.problem,
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


def prepare_folders(settings: Settings) -> None:
    """Make the folders that are ours, and inboxes that no worker has seen before.

    One that was seen and is missing is a disk that is not mounted, and is waited for. Raises SettingsError.
    """
    beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
    seen = {inbox.path for inbox in beat.inboxes} if beat else set()
    inboxes = [inbox for inbox in settings.inboxes if str(inbox) not in seen]
    try:
        for folder in (settings.sorted, *inboxes, settings.state.parent, settings.reports.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with limited(settings.permissions):
            for folder in (settings.state, settings.reports):
                folder.mkdir(exist_ok=True)
            settings.spool.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{error.filename}: cannot make this folder: {error.strerror}") from error


def refuse_bare_mount(settings: Settings, bundle: Bundle, engine: Engine) -> None:
    """Raise PawsortError if files were filed and no folder that holds them is there.

    Then the disk under `sorted` is not mounted, and what is filed now would be hidden once it is.
    """
    there = any((settings.sorted / name).is_dir() for name in outcome_folders(bundle))
    filed = sum(n for outcome, n in counts(engine).items() if outcome not in ("waiting", "undone"))
    if filed and not there:
        raise PawsortError(
            f"{settings.sorted}: {filed} files were filed and none of their folders is there; mount the "
            f"disk, or, if you took them away on purpose, make the folder {settings.sorted / FAILED}"
        )


def probe_folders(settings: Settings, bundle: Bundle) -> None:
    """Try whether files can be moved into each folder under `sorted`.

    One that refuses is logged: its files wait. Raises PawsortError if all do, or if one would let files be
    overwritten.
    """
    refused: dict[Path, OSError] = {}
    crosses = []
    folders = [settings.sorted / name for name in outcome_folders(bundle)]
    for folder in folders:
        try:
            probe = moves.probe_folder(os.fsencode(folder), os.fsencode(settings.spool))
        except OSError as error:
            refused[folder] = error
        else:
            crosses += [folder] if probe.crosses else []
    for folder, refusal in refused.items():
        message = f"{folder}: files cannot be moved there: {refusal.strerror}"
        if len(refused) == len(folders) or refusal.errno == errno.ENOTSUP:
            raise PawsortError(message) from refusal
        log.error("%s; its files wait until they can, the others are filed", message)
    if crosses:
        log.warning("%s is on another file system than state: files are copied, which is slower", crosses[0])


def _free_bytes(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
