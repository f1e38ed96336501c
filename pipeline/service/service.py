"""The worker as a program: what must be right before it starts, its locks, and its end."""

from __future__ import annotations

import faulthandler
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from pipeline.alerts.alerts import Alerts
from pipeline.by_hand.follower import Follower
from pipeline.classifier.client import Classifier
from pipeline.classifier.configured_model import load_bundle, load_in_force, outcome_folders
from pipeline.errors import translated
from pipeline.files.permissions import exposed, limited
from pipeline.learning.nightly import Learning
from pipeline.office import packages
from pipeline.relocate.marker import refuse_moved
from pipeline.relocate.unfollowed import refuse_unfollowed
from pipeline.requests.carry_out import RequestStep
from pipeline.service.database_start import another_start, open_when_possible
from pipeline.service.housekeeping import Housekeeping
from pipeline.service.notify_socket import NotifySocket
from pipeline.service.reporting import report_so_far, reporter
from pipeline.service.shared_ledger import SharedLedger
from pipeline.service.watchdog import Watchdog
from pipeline.service.worker_run import Beside, WorkerRun
from pipeline.settings.config import Settings
from pipeline.spot_checks.figures import measure_own_threshold
from pipeline.worker import counters
from pipeline.worker.identity import PATIENCE_SECONDS, RESTART_SECONDS, own_id, this_worker
from pipeline.worker.locks import worker_lock
from pipeline.worker.loop import Worker
from pipeline.worker.startup import (
    finish_moves,
    model_change,
    model_switch,
    prepare_folders,
    probe_folders,
    refuse_bare_mount,
)
from pipeline.worker.steps.held_file import InProgressFile

log = logging.getLogger(__name__)


def run(
    settings: Settings,
    *,
    once: bool = False,
    classifier: Classifier | None = None,
    on_filed: Callable[[Sequence[InProgressFile]], None] = lambda _: None,
    beside: AbstractContextManager[None] | None = None,
    learn: Sequence[str] = (),
    config: Path | None = None,
) -> int:
    """Run the worker until a signal, or with `once` until every file is filed; return the exit code.

    `beside` is entered when this is known to be the only worker, and left when it ends. `learn` is the
    command to run at `settings.learn.at`; `config` is the settings file, for backups. Raises PawsortError
    when it cannot start or go on.
    """
    refuse_moved(settings.state)
    watchdog = _watchdog()
    prepare_folders(settings)
    with ExitStack() as stack:
        stack.enter_context(translated())
        stack.enter_context(another_start(watchdog))
        stack.enter_context(limited(settings.permissions))
        stack.enter_context(worker_lock(settings))
        alerts = stack.enter_context(Alerts(settings))
        first = None if classifier else load_in_force(settings)
        bundle = first[1] if first else load_bundle(settings)
        engine = open_when_possible(settings, watchdog, once)
        stack.callback(engine.dispose)
        patience = RESTART_SECONDS if watchdog.has_manager else PATIENCE_SECONDS
        own = stack.enter_context(this_worker(engine, settings, patience))
        refuse_unfollowed(own, settings)
        refuse_bare_mount(settings, bundle, own)
        measure_own_threshold(engine, settings, bundle, datetime.now(UTC))
        probe_folders(settings, bundle)
        finish_moves(own, settings)
        for note in (*exposed(settings), *packages.notes(settings)):
            log.warning("%s", note)
        id = own_id(engine, settings)
        shared = SharedLedger(engine, id, settings.web.address, sends_alerts=alerts.can_say_silent)
        stack.enter_context(shared.shared())
        stack.enter_context(beside or nullcontext())
        switch = model_switch(settings, own, *first) if first else None
        model = switch or classifier
        assert model
        follower = None
        if settings.watch.sorted:
            follower = Follower(own, settings, bundle.folders, lost=lambda: worker.in_flight.missing_files)
        labels = follower.labels if follower else None
        change = model_change(settings, engine, switch, labels) if switch else None
        counted = counters.resumed(settings.state / counters.FILE_NAME, outcome_folders(bundle))
        worker = Worker(
            settings, bundle, own, model, everyone=engine, change_model=change, on_filed=on_filed,
            counters=counted,
        )  # fmt: skip
        learning = Learning.of(settings, switch.family if switch else None, own, () if once else learn)
        housekeeping = Housekeeping.of(settings, own, config, engine, shared)
        requests = RequestStep(own, engine, id, settings, lambda: worker.bundle.folders)
        beside_it = Beside(learning, alerts, follower, housekeeping, watchdog, shared, requests)
        code = WorkerRun(settings, worker, model, switch, own, engine, beside_it).live(once)
        if once and shared.reports:
            report_so_far(reporter(settings, engine, worker.bundle, alerts.reports_written))
        return code


def _watchdog() -> Watchdog:
    notify = NotifySocket.of_environment()
    if notify.watchdog_seconds:
        faulthandler.enable()  # the watchdog's SIGABRT then logs where each thread is
    return Watchdog(notify)
