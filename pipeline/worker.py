"""The life of the worker: start, recover, one step at a time, drain, stop."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from db.engine import DatabaseUnavailable, assert_in_place, forget_connections
from db.ledger import Ledger
from models.bundle import Bundle
from pipeline.access import NotRegularError
from pipeline.answering import Answering
from pipeline.claiming import WORLD, Claiming, identity_of, is_settled, path_of
from pipeline.classifier import Classifier
from pipeline.config import Settings
from pipeline.cutter import Cutter
from pipeline.held import Held, Resting
from pipeline.inbox import Arrival, Inbox, InboxStatus
from pipeline.model import policy
from pipeline.placing import Placing
from pipeline.recovery import Recovery

log = logging.getLogger(__name__)

DRAIN_SECONDS = 4.5
"""How long the batch in flight may take to finish after a signal; the rest is for the next start."""

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
        on_filed: Callable[[Sequence[Held]], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        spool = os.fsencode(settings.spool)
        ledger = Ledger(engine, spool)
        self.settings = settings
        self.inboxes = [Inbox(path, settings.watch, clock=monotonic, wall=clock) for path in settings.inboxes]
        self.outcomes: Counter[str] = Counter()
        self.last_filed: tuple[datetime, Held] | None = None
        self.trouble: str | None = None
        self._engine = engine
        self._classifier = classifier
        self._ledger = ledger
        self._resting = Resting(monotonic)
        self._claiming = Claiming(ledger, settings, self._resting, clock)
        self._answering = Answering(
            ledger, classifier, settings, policy(settings, bundle), self._resting, clock
        )
        self._placing = Placing(ledger, settings, bundle, self._resting, clock)
        self._recovery = Recovery(
            ledger,
            spool,
            self._claiming,
            self._answering,
            self._placing,
            self._resting,
            settings.watch.rescan_seconds,
        )
        self._cutter: Cutter[Arrival] = Cutter(settings.batch.size, settings.batch.wait_seconds)
        self._on_filed = on_filed
        self._clock = clock
        self._monotonic = monotonic
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
        self._attempt(lambda: self._step(taking))

    def stop(self) -> None:
        """Finish the batch in flight if that is soon done, and leave the rest for the next start."""
        until = self._monotonic() + DRAIN_SECONDS
        try:
            while self._must_drain() and self._monotonic() < until and not self.trouble:
                self.step(taking=False)
            self._attempt(self._answering.release)
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
        steps = self._claiming.held + self._answering.held + self._placing.held
        return steps + len(self._resting.files)

    @property
    def idle(self) -> bool:
        """Whether all that was there is filed, but for what rests."""
        seen = all(_is_seen(inbox.status()) for inbox in self.inboxes)
        held = self.held - len(self._resting.files)
        return seen and self._recovered and not self.trouble and not self._cutter.items and not held

    @property
    def left(self) -> int:
        """How many files cannot be had for now: written to, put back, or not ours to move."""
        return len(self._resting.files) + sum(inbox.status().resting for inbox in self.inboxes)

    @property
    def missing(self) -> int:
        """How many claimed files somebody took out of the spool."""
        return len(self._answering.missing) + len(self._placing.missing)

    @property
    def stuck(self) -> int:
        """How many claimed files cannot be moved out of their inbox."""
        return len(self._claiming.stuck)

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
        count = self._recovery.start(self._clock())
        self._recovered = True
        if count:
            log.info("taking up %d files that were left unfinished", count)

    def _step(self, taking: bool) -> None:
        assert_in_place(self._engine)
        for held in self._resting.rested():
            self._recovery.again(held, self._clock())
        if taking:
            self._look()
        if taking and self._classifier.ready():
            self._claim()
        self._answering.waiting.extend(self._claiming.bring_in())
        if taking and self._classifier.ready():
            self._placing.judged.extend(self._answering.submit())
        self._placing.judged.extend(self._answering.collect(self._patience))
        for held in self._placing.conclude():
            self._answering.settle(held.sha256)
        self._placing.file()
        self._report()

    def _look(self) -> None:
        """Ask each inbox, in turn first, for no more arrivals than the next batch has room for."""
        self.inboxes.append(self.inboxes.pop(0))
        ahead = len(self._answering.waiting) + len(self._answering.suspects)
        for inbox in self.inboxes:
            arrivals = inbox.poll(limit=max(0, self._cutter.room - ahead))
            self._cutter.add(arrivals, self._monotonic())

    @property
    def _patience(self) -> float:
        if self._placing.held:
            return 0.0
        return BUSY_SECONDS if self.held or self._cutter.items else IDLE_SECONDS

    def _claim(self) -> None:
        if len(self._answering.waiting) >= self.settings.batch.size:
            return
        batch = self._cutter.cut(self._monotonic())
        try:
            self._claim_batch(batch)
        except (OSError, DatabaseUnavailable):
            self._cutter.items[:0] = batch
            raise

    def _claim_batch(self, batch: Sequence[Arrival]) -> None:
        put_back = self._ledger.put_back({path_of(a): identity_of(a) for a in batch}) if batch else set()
        for arrival in batch:
            if path_of(arrival) in put_back:
                why = "was put back by `undo`; left alone until it is changed or renamed"
                self._inbox_of(arrival).postpone(arrival, why)
        settled = [a for a in batch if path_of(a) not in put_back and self._is_settled(a)]
        if settled:
            self._batch_began = self._monotonic()
            self._claiming.claim(settled)
        for arrival in settled:
            self._inbox_of(arrival).forget(arrival)

    def _is_settled(self, arrival: Arrival) -> bool:
        inbox = self._inbox_of(arrival)
        try:
            if is_settled(arrival):
                return True
            inbox.postpone(arrival, "is being written to; waiting until it is complete")
        except (FileNotFoundError, NotADirectoryError, NotRegularError):
            inbox.forget(arrival)
        except OSError as error:
            if error.errno in WORLD:
                raise
            inbox.postpone(arrival, f"cannot be read: {error.strerror}; trying again later")
        return False

    def _inbox_of(self, arrival: Arrival) -> Inbox:
        return next(inbox for inbox in self.inboxes if inbox.path == arrival.inbox)

    def _report(self) -> None:
        filed, self._placing.filed = self._placing.filed, []
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
        return bool(self._classifier.in_flight or self._placing.held or self._claiming.held)

    # --- a bad world --------------------------------------------------------------------------------

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something that the world may refuse; if it does, say so and back off."""
        try:
            action()
        except (OSError, DatabaseUnavailable) as error:
            self._back_off(str(error))
            forget_connections(self._engine)
        else:
            if self.trouble:
                log.warning("going on: the trouble is over (%s)", self.trouble)
            self.trouble, self._troubles = None, 0

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
