"""The worker's main loop: start, recover, take one step at a time, stop."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from db.connection.engine import DatabaseUnavailable, assert_in_place, forget_connections
from db.connection.errors import CommitUnclear
from db.ledger.ledger import Ledger
from models.bundle.bundle import Bundle
from models.errors import in_words
from pipeline.classifier.answering_model import AnsweringModel
from pipeline.classifier.client import Classifier
from pipeline.companions.shares import share_of
from pipeline.files.known_folder import KnownFolder
from pipeline.originals.memory import OriginalMemory
from pipeline.settings.config import Settings
from pipeline.watch.inbox import Inbox
from pipeline.watch.stability import FileSnapshot
from pipeline.worker.counters import Counters
from pipeline.worker.in_flight import InFlight
from pipeline.worker.recovery import Recovery
from pipeline.worker.steps.claim import ClaimStep
from pipeline.worker.steps.classify import ClassifyStep
from pipeline.worker.steps.held_file import InProgressFile, MissingFiles, RetryQueue
from pipeline.worker.steps.intake import Intake
from pipeline.worker.steps.place import PlaceStep

log = logging.getLogger(__name__)

DRAIN_SECONDS = 4.5
"""After a signal, the batch in flight has this long to finish; the next start takes up the rest."""

IDLE_SECONDS = 0.1
BUSY_SECONDS = 0.02
BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
RATE_SECONDS = 60.0


class Worker:
    """Move files from the inboxes to their folders, one `step` at a time.

    The caller holds the locks and gives an open database of the worker's own files; `everyone` has those of
    all workers, among which copies are found. `change_model` is called in each step, and returns the bundle
    of the classifier once that has changed. `on_filed` is called with each filed batch; `counters`
    go on from those of earlier runs. `clock` gives UTC, `monotonic` seconds of a clock that never goes back.
    """

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        engine: Engine,
        classifier: Classifier,
        *,
        everyone: Engine | None = None,
        change_model: Callable[[], Bundle | None] | None = None,
        on_filed: Callable[[Sequence[InProgressFile]], None] = lambda _: None,
        counters: Counters | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._originals = OriginalMemory(engine, settings.watch.rescan_seconds, monotonic, clock)
        self.inboxes = [self._inbox(path, monotonic, clock) for path in settings.inboxes]
        self.outcomes: Counter[str] = Counter()
        self.counters = counters or Counters()
        self.last_filed: tuple[datetime, InProgressFile] | None = None
        self.trouble: str | None = None
        self._model = AnsweringModel(settings, bundle)
        self._change_model = change_model
        self._engine = engine
        self._classifier = classifier
        self._ledger = Ledger(engine, os.fsencode(settings.spool), everyone)
        stay = any(settings.action_of(inbox) != "move" for inbox in settings.inboxes)
        originals = self._originals if stay else None
        self._intake = Intake(self.inboxes, self._ledger, settings, monotonic, originals)
        self._on_filed = on_filed
        self._clock = clock
        self._monotonic = monotonic
        self._root = KnownFolder(os.fsencode(settings.sorted))
        self.in_flight, self._recovery = self._make_steps()
        self._interrupted: list[InProgressFile] | None = None  # their commit as filed was unclear
        self._recovered = False
        self._troubles = 0
        self._resume_at = 0.0
        self._batch_began = monotonic()
        self._lately: deque[tuple[float, int]] = deque()

    # --- the caller's side --------------------------------------------------------------------------

    def start(self) -> None:
        """Start to load the model; meanwhile recover unfinished files and start to watch the inboxes."""
        self._attempt(self._classifier.start)
        self._attempt(self._recover)
        for inbox in self.inboxes:
            inbox.start()

    def step(self, *, taking: bool = True) -> None:
        """Move every held file as far as possible, waiting a moment if there is nothing to do.

        With `taking` false no file is claimed or submitted. After a system error the step is repeated with
        back-off. Raises ModelError and DatabaseError on permanent errors.
        """
        if self._monotonic() < self._resume_at:
            time.sleep(IDLE_SECONDS)
            return
        if not self._recovered:
            self._attempt(self._recover)
            if not self._recovered:
                return  # a file in an inbox may be half claimed
        self._attempt(lambda: self._step(taking), ends_trouble=True)

    def stop(self) -> None:
        """Finish the batch in flight if that takes few seconds; the next start takes up the rest."""
        until = self._monotonic() + DRAIN_SECONDS
        try:
            while self._must_drain() and self._monotonic() < until and not self.trouble:
                self.step(taking=False)
            self._attempt(self.in_flight.classify.release)
        finally:
            for inbox in self.inboxes:
                inbox.stop()
            self._classifier.stop()

    @property
    def idle(self) -> bool:
        """Whether every file is filed, except those to retry."""
        return self._recovered and not self.trouble and self.in_flight.idle

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers now."""
        return self._model.bundle

    @property
    def rate(self) -> float:
        """Files filed a second, over the last minute."""
        now = self._monotonic()
        while self._lately and self._lately[0][0] < now - RATE_SECONDS:
            self._lately.popleft()
        return sum(count for _, count in self._lately) / RATE_SECONDS

    def _inbox(self, path: Path, monotonic: Callable[[], float], clock: Callable[[], datetime]) -> Inbox:
        settings, action = self.settings.watch, self.settings.action_of(path)
        together = self.settings.filing.companions
        make = partial(Inbox, path, settings, clock=monotonic, wall=clock, companions=together)
        share = share_of(self.settings, path)
        name = os.fspath(path)

        def known(seen: FileSnapshot) -> bool:
            if share and not share.has(seen.path):
                return True  # to another worker
            return action != "move" and self._originals.knows(name, seen.path, seen[1:])

        if action == "move":
            return make(known=known) if share else make()
        return make(action=action, known=known)

    # --- one step -----------------------------------------------------------------------------------

    def _make_steps(self) -> tuple[InFlight, Recovery]:
        """Make the steps, with no file in any of them, and the recovery that puts files into them."""
        settings, ledger, now = self.settings, self._ledger, self._clock
        retries, missing = RetryQueue(self._monotonic), MissingFiles()
        claim = ClaimStep(self._intake, ledger, settings, retries, now)
        classify = ClassifyStep(
            ledger, self._classifier, settings, self._model, retries, missing, now, self._root
        )
        place = PlaceStep(ledger, settings, retries, missing, now, self._root)
        in_flight = InFlight(self.inboxes, self._intake, claim, classify, place, retries, missing)
        return in_flight, Recovery(ledger, settings, claim, classify, place, retries, missing)

    def _recover(self) -> None:
        if self._classifier.in_flight:
            self._classifier.stop()
            self._classifier.start()
        count = self._recovery.start(self._clock(), crashed=self._interrupted is None)
        if self._interrupted:
            entries = self._ledger.entries([file.id for file in self._interrupted])
            filed = {entry.id for entry in entries if entry.state in ("filed", "undone")}
            self.in_flight.place.add_filed([file for file in self._interrupted if file.id in filed])
        self._interrupted, self._recovered = None, True
        if count:
            log.info("taking up %d files that were left unfinished", count)

    def _step(self, taking: bool) -> None:
        classify, place = self.in_flight.classify, self.in_flight.place
        assert_in_place(self._engine)
        if self._change_model and (bundle := self._change_model()):
            self._model = AnsweringModel(self.settings, bundle)
            classify.change_model(self._model)
        for file in self.in_flight.retries.due():
            self._recovery.retry(file, self._clock())
        if taking:
            self._claim()
        for file in self.in_flight.claim.bring_in():
            classify.enqueue(file)
            self.counters.arrived += 1
        if taking and self._classifier.ready():
            place.enqueue_classified(classify.submit())
        place.enqueue_classified(classify.collect(self._poll_seconds))
        for file in place.commit_decisions():
            classify.release_duplicates(file.sha256)
        place.move_files()
        self._report()

    def _claim(self) -> None:
        in_flight = self.in_flight
        if not in_flight.full:
            self._intake.poll(in_flight.classify.queued)
        if self._classifier.ready() and not in_flight.classify.has_full_batch:
            began = self._monotonic()
            if in_flight.claim.claim_batch():
                self._batch_began = began

    @property
    def _poll_seconds(self) -> float:
        if self.in_flight.place.held:
            return 0.0
        return BUSY_SECONDS if self.in_flight.held or self._intake.held else IDLE_SECONDS

    def _report(self) -> None:
        filed = self.in_flight.place.take_filed()
        if not filed:
            return
        now = self._monotonic()
        outcomes = Counter(str(file.outcome) for file in filed)
        self.outcomes += outcomes
        self.last_filed = (at := self._clock(), filed[-1])
        self.counters.count_filed(filed, at)
        self._lately.append((now, len(filed)))
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        log.info("filed %d in %.2f s: %s", len(filed), now - self._batch_began, parts)
        self._on_filed(filed)

    def _must_drain(self) -> bool:
        in_flight = self.in_flight
        return bool(self._classifier.in_flight or in_flight.place.held or in_flight.claim.held)

    # --- system errors ------------------------------------------------------------------------------

    def _attempt(self, action: Callable[[], None], *, ends_trouble: bool = False) -> None:
        """Call `action`; back off after a system error. Success ends the trouble if it `ends_trouble`."""
        try:
            action()
        except (OSError, DatabaseUnavailable) as error:
            self._back_off(in_words(error))
            forget_connections(self._engine)
            if isinstance(error, CommitUnclear):
                self._start_over()
        else:
            if not ends_trouble:
                return
            if self.trouble:
                log.warning("going on: the trouble is over (%s)", self.trouble)
            self.trouble, self._troubles = None, 0

    def _start_over(self) -> None:
        """Forget which step each file is in, and recover that from the ledger, as at start."""
        before = self.in_flight.place
        self._interrupted = before.moved + (self._interrupted or [])
        self._recovered = False
        self.in_flight, self._recovery = self._make_steps()
        self.in_flight.place.add_filed(before.take_filed())  # not reported yet

    def _back_off(self, why: str) -> None:
        wait = BACKOFF_SECONDS[min(self._troubles, len(BACKOFF_SECONDS) - 1)]
        if why != self.trouble:
            log.error("paused: %s; nothing is lost, trying again", why)
        self.trouble = why
        self._troubles += 1
        self._resume_at = self._monotonic() + wait
