"""The life of the worker: start, recover, one step at a time, drain, stop."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Engine

from db.connection.engine import DatabaseUnavailable, assert_in_place, forget_connections
from db.connection.errors import CommitUnclear
from db.ledger.ledger import Ledger
from models.bundle.bundle import Bundle
from pipeline.classifier.client import Classifier
from pipeline.config import Settings
from pipeline.files.folders import SYSTEM_ERRNOS
from pipeline.files.moves import SourceChangedError
from pipeline.files.safe_open import NotRegularError, RefusedError
from pipeline.watch.inbox import Inbox, InboxStatus, SettledFile
from pipeline.worker.batch_cutter import Cutter
from pipeline.worker.claim import identity_of, is_settled, path_of
from pipeline.worker.held_file import InProgressFile
from pipeline.worker.place import folder_id
from pipeline.worker.steps import lay_out

log = logging.getLogger(__name__)

DRAIN_SECONDS = 4.5
"""How long the batch in flight may take to finish after a signal; the rest is for the next start."""

MOST_RESTING = 10_000
"""How many claimed files may wait at a time, so that a folder that refuses them does not fill the spool."""

IDLE_SECONDS = 0.1
BUSY_SECONDS = 0.02
BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
RATE_SECONDS = 60.0


class Worker:
    """Carry files from the inboxes to their folders, until told to stop.

    The caller holds the locks and gives an open database. `on_filed` hears of each batch; `clock` gives UTC,
    `monotonic` seconds that never go back.
    """

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        engine: Engine,
        classifier: Classifier,
        *,
        on_filed: Callable[[Sequence[InProgressFile]], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.inboxes = [Inbox(path, settings.watch, clock=monotonic, wall=clock) for path in settings.inboxes]
        self._inbox_at = {inbox.path: inbox for inbox in self.inboxes}
        self._inbox_named = {os.fsencode(inbox.path): inbox for inbox in self.inboxes}
        self.outcomes: Counter[str] = Counter()
        self.last_filed: tuple[datetime, InProgressFile] | None = None
        self.trouble: str | None = None
        self._engine = engine
        self._classifier = classifier
        self._ledger = Ledger(engine, os.fsencode(settings.spool))
        self._cutter: Cutter[SettledFile] = Cutter(settings.batch.size, settings.batch.wait_seconds)
        self._on_filed = on_filed
        self._clock = clock
        self._monotonic = monotonic
        root = folder_id(os.fsencode(settings.sorted))
        self._lay_out = partial(lay_out, settings, bundle, self._ledger, classifier, clock, monotonic, root)
        self._steps = self._lay_out()
        self._interrupted: list[InProgressFile] | None = None  # what was just to be noted as filed
        self._recovered = False
        self._troubles = 0
        self._resume_at = 0.0
        self._batch_began = monotonic()
        self._lately: deque[tuple[float, int]] = deque()

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the model, and meanwhile take up what was left and begin to watch."""
        self._attempt(self._classifier.start)
        self._attempt(self._recover)
        for inbox in self.inboxes:
            inbox.start()

    def step(self, *, taking: bool = True) -> None:
        """Carry every held file as far as it will go, waiting a moment if there is nothing to do.

        With `taking` false nothing new is claimed or classified. Raises ModelError and DatabaseError for
        what no waiting cures; what the world refuses is tried again later.
        """
        if self._monotonic() < self._resume_at:
            time.sleep(IDLE_SECONDS)
            return
        if not self._recovered:
            self._attempt(self._recover)
            if not self._recovered:
                return  # until the ledger is taken up, what lies in an inbox may be half claimed
        self._attempt(lambda: self._step(taking), proves=True)

    def stop(self) -> None:
        """Finish the batch in flight if that is soon done, and leave the rest for the next start."""
        until = self._monotonic() + DRAIN_SECONDS
        try:
            while self._must_drain() and self._monotonic() < until and not self.trouble:
                self.step(taking=False)
            self._attempt(self._steps.answering.release)
        finally:
            for inbox in self.inboxes:
                inbox.stop()
            self._classifier.stop()

    @property
    def waiting(self) -> int:
        """How many files are known to wait, in inboxes and spool."""
        return self.held + len(self._cutter.items) + sum(i.status().settling for i in self.inboxes)

    @property
    def held(self) -> int:
        """How many files are claimed and not yet filed."""
        return self._steps.held + len(self._steps.resting.files)

    @property
    def idle(self) -> bool:
        """Whether all that was there is filed, but for what rests."""
        seen = self._full or all(_is_seen(inbox.status()) for inbox in self.inboxes)
        held = self._steps.held or self._cutter.items
        return seen and self._recovered and not self.trouble and not held

    @property
    def _full(self) -> bool:
        """Whether so many files wait for their folder that no more may be taken for it."""
        return len(self._steps.resting.files) >= MOST_RESTING

    @property
    def left(self) -> int:
        """How many files cannot be had for now: written to, put back, or not ours to move."""
        return len(self._steps.resting.files) + sum(inbox.status().resting for inbox in self.inboxes)

    @property
    def missing(self) -> int:
        """How many claimed files somebody took out of the spool."""
        return len(self._steps.answering.missing) + len(self._steps.placing.missing)

    @property
    def stuck(self) -> int:
        """How many files and folders of the inboxes may not be read, moved or listed."""
        return sum(status.refused + status.unlisted for status in (i.status() for i in self.inboxes))

    @property
    def refused(self) -> int:
        """How many files wait because a folder refuses to give or to take them."""
        return self.stuck + len(self._steps.placing.refusals)

    @property
    def unfiled(self) -> tuple[str, ...]:
        """Which folders under `sorted` refuse files, and why."""
        return self._steps.placing.refusals.reasons

    @property
    def unreachable(self) -> bool:
        """Whether an inbox is not there, so that nobody knows what is in it."""
        return any(inbox.status().state == "missing" for inbox in self.inboxes)

    @property
    def rate(self) -> float:
        """Files filed a second, over the last minute."""
        now = self._monotonic()
        while self._lately and self._lately[0][0] < now - RATE_SECONDS:
            self._lately.popleft()
        return sum(count for _, count in self._lately) / RATE_SECONDS

    # --- one step -----------------------------------------------------------------------------------

    def _recover(self) -> None:
        if self._classifier.in_flight:
            self._classifier.stop()
            self._classifier.start()
        count = self._steps.recovery.start(self._clock(), crashed=self._interrupted is None)
        if self._interrupted:
            done = self._ledger.entries([held.id for held in self._interrupted])
            filed = {entry.id for entry in done if entry.state == "filed"}
            self._steps.placing.filed += [held for held in self._interrupted if held.id in filed]
        self._interrupted, self._recovered = None, True
        if count:
            log.info("taking up %d files that were left unfinished", count)

    def _step(self, taking: bool) -> None:
        assert_in_place(self._engine)
        for held in self._steps.resting.rested():
            self._steps.recovery.again(held, self._clock())
        if taking and not self._full:
            self._look()
        if taking and self._classifier.ready():
            self._claim()
        self._bring_in()
        if taking and self._classifier.ready():
            self._steps.placing.judged.extend(self._steps.answering.submit())
        self._steps.placing.judged.extend(self._steps.answering.collect(self._patience))
        for held in self._steps.placing.conclude():
            self._steps.answering.settle(held.sha256)
        self._steps.placing.file()
        self._report()

    def _look(self) -> None:
        """Ask each inbox, in turn first, for no more arrivals than the next batch has room for."""
        self.inboxes.append(self.inboxes.pop(0))
        ahead = len(self._steps.answering.waiting) + len(self._steps.answering.suspects)
        for inbox in self.inboxes:
            arrivals = inbox.poll(limit=max(0, self._cutter.room - ahead))
            self._cutter.add(arrivals, self._monotonic())

    @property
    def _patience(self) -> float:
        if self._steps.placing.held:
            return 0.0
        return BUSY_SECONDS if self.held or self._cutter.items else IDLE_SECONDS

    def _claim(self) -> None:
        if len(self._steps.answering.waiting) >= self.settings.batch.size:
            return
        batch = self._cutter.cut(self._monotonic())
        try:
            self._claim_batch(batch)
        except (OSError, DatabaseUnavailable):
            self._cutter.items[:0] = batch
            raise

    def _claim_batch(self, batch: Sequence[SettledFile]) -> None:
        seen = {path_of(arrival): arrival for arrival in batch}  # what is offered twice is claimed once
        put_back = self._ledger.put_back({path: identity_of(a) for path, a in seen.items()}) if seen else ()
        for path in put_back:
            why = "was put back by `undo`; left alone until it is changed or renamed"
            self._inbox_of(seen[path]).postpone(seen[path], why)
        settled = [a for path, a in seen.items() if path not in put_back and self._is_settled(a)]
        if settled:
            self._batch_began = self._monotonic()
            self._steps.claiming.claim(settled)

    def _bring_in(self) -> None:
        brought = self._steps.claiming.bring_in()
        self._steps.answering.waiting.extend(brought.arrived)
        for held in (*brought.arrived, *brought.gone):
            if inbox := self._inbox_named.get(held.inbox):
                inbox.forget(held)
        for held, error in brought.refused:
            if (inbox := self._inbox_named.get(held.inbox)) is None:
                continue
            if isinstance(error, SourceChangedError):
                inbox.postpone(held, "was written to while it was copied; waiting until it is complete")
            else:
                inbox.refuse(held, "take", str(error.strerror))

    def _is_settled(self, arrival: SettledFile) -> bool:
        inbox = self._inbox_of(arrival)
        try:
            if is_settled(arrival):
                return True
            inbox.postpone(arrival, "is being written to; waiting until it is complete")
        except (FileNotFoundError, NotADirectoryError, NotRegularError):
            inbox.forget(arrival)
        except RefusedError as error:
            inbox.refuse(arrival, "take", str(error.strerror))
        except OSError as error:
            if error.errno in SYSTEM_ERRNOS:
                raise
            inbox.refuse(arrival, "read", str(error.strerror))
        return False

    def _inbox_of(self, arrival: SettledFile) -> Inbox:
        return self._inbox_at[arrival.inbox]

    def _report(self) -> None:
        filed, self._steps.placing.filed = self._steps.placing.filed, []
        if not filed:
            return
        now = self._monotonic()
        outcomes = Counter(str(held.outcome) for held in filed)
        self.outcomes += outcomes
        self.last_filed = (self._clock(), filed[-1])
        self._lately.append((now, len(filed)))
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        log.info("filed %d in %.2f s: %s", len(filed), now - self._batch_began, parts)
        self._on_filed(filed)

    def _must_drain(self) -> bool:
        return bool(self._classifier.in_flight or self._steps.placing.held or self._steps.claiming.held)

    # --- a bad world --------------------------------------------------------------------------------

    def _attempt(self, action: Callable[[], None], *, proves: bool = False) -> None:
        """Do something that the world may refuse; if so, back off. One that `proves` ends a trouble."""
        try:
            action()
        except (OSError, DatabaseUnavailable) as error:
            self._back_off(str(error))
            forget_connections(self._engine)
            if isinstance(error, CommitUnclear):
                self._begin_anew()
        else:
            if not proves:
                return
            if self.trouble:
                log.warning("going on: the trouble is over (%s)", self.trouble)
            self.trouble, self._troubles = None, 0

    def _begin_anew(self) -> None:
        """Forget where each file was; what the ledger says next counts, as at a start."""
        before = self._steps.placing
        self._interrupted = before.moved + (self._interrupted or [])
        self._recovered = False
        self._steps = self._lay_out()
        self._steps.placing.filed = before.filed  # not reported yet

    def _back_off(self, why: str) -> None:
        wait = BACKOFF_SECONDS[min(self._troubles, len(BACKOFF_SECONDS) - 1)]
        if why != self.trouble:
            log.error("paused: %s; nothing is lost, trying again", why)
        self.trouble = why
        self._troubles += 1
        self._resume_at = self._monotonic() + wait


def _is_seen(inbox: InboxStatus) -> bool:
    """Tell whether all that is in an inbox was looked at, and nothing of it is about to settle."""
    return inbox.state == "missing" or bool(inbox.scans and not inbox.scanning and not inbox.settling)
