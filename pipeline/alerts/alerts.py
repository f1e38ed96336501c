"""Alerts of one run of the worker: follow its heartbeats, and say what begins and ends."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from db.connection.errors import DatabaseError as DatabaseProblem
from models.errors import BundleError, in_words
from pipeline.alerts import channels
from pipeline.alerts.conditions import Condition, conditions
from pipeline.alerts.heartbeat_ping import HeartbeatPing
from pipeline.alerts.measuring import Measuring
from pipeline.alerts.memory import Memory, Remembered
from pipeline.alerts.message import Message, of_reports
from pipeline.alerts.quiet_hours import QuietHours
from pipeline.alerts.sender import Sender
from pipeline.alerts.silences import NONE_WATCHED, Silences, leave_drift, said, take_over
from pipeline.errors import DatabaseError, ModelError
from pipeline.settings.config import Settings
from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat

if TYPE_CHECKING:
    from pipeline.reports.daily import DayReport

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0
"""How long a worker that is stopped waits for a delivery; the next start delivers the rest."""

REFUSED_SECONDS = 8.0
"""The same for a worker that cannot run: the next start may be far away."""

OpenChannels = Callable[[], Sequence[channels.Channel]]


class Alerts:
    """Follows a worker from its start to its end; entered once its lock is held.

    No method raises or waits for a server, but the exit does for some seconds. `open_channels` and the clocks
    are parameters for tests: `clock` gives UTC, `monotonic` seconds of a clock that never goes back.
    """

    def __init__(
        self,
        settings: Settings,
        open_channels: OpenChannels | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        notify, zone = settings.notify, settings.report.zone
        self._on, self._has_urls = notify.on, bool(notify.urls)
        self._zone, self._clock, self._monotonic = zone, clock, monotonic
        self._is_wanted = bool(notify.urls or notify.heartbeat_url)
        self._memory = Memory(settings.state)
        kept = self._memory.read() if self._is_wanted else Remembered()
        self._active, self._reported = kept.active, kept.reported
        self._forget_what_is_off()
        self._quiet = QuietHours(notify.quiet_hours, zone, kept.held)
        self._ping = HeartbeatPing(notify.heartbeat_url)
        self.sender = Sender(
            open_channels or (lambda: _opened(notify.urls)),
            [channels.key_of(url) for url in notify.urls],
            self._ping,
            kept.waiting,
            clock=clock,
            monotonic=monotonic,
        )
        ended_at = _unclean_end(settings) if self._is_wanted else None
        self._measuring = Measuring(settings.sorted, settings.state, monotonic(), ended_at)
        self._reports: deque[DayReport] = deque()
        self._silences = Silences()

    def __enter__(self) -> Self:
        """Start the sender, if there is anything to send it to."""
        if self._is_wanted:
            self.sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say why the worker cannot run if it ends by an error, and end the sender."""
        if not self._is_wanted:
            return
        refusal = [_refused(error)] if isinstance(error, Exception) else []
        try:
            self._say([*self._conditions, *refusal], bool(refusal))
            self.sender.stop(REFUSED_SECONDS if refusal else STOP_SECONDS)
            self._remember()
        except Exception:  # the error of the worker matters more
            log.exception("alerts: unexpected error")

    def follow(
        self,
        beat: Heartbeat,
        outcomes: Mapping[str, int],
        restarts: int,
        refusals: Sequence[str],
        silences: Silences = NONE_WATCHED,
    ) -> None:
        """Take a heartbeat of the worker, and counts that only grow: files by outcome, restarts of children.

        `refusals` say which folders in `sorted` take no files, `silences` which other workers are silent.
        """
        if not self._is_wanted or beat.state in ("stopping", "stopped"):
            return
        seconds = self._monotonic()
        if beat.state == "watching" and beat.health != "red":
            self._ping.note_healthy(seconds)
        try:
            measured = self._measuring.measure(outcomes, restarts, tuple(refusals), seconds)
            found = conditions(beat, measured, self._active.keys)
            self._watch(silences)
            if not silences.reports:
                found = [condition for condition in found if condition.event != "drift"]
            self._say([*found, *silences.conditions, *self._refused_before(beat)])
        except Exception:  # an alert that fails must not stop the worker
            log.exception("alerts: unexpected error")

    @property
    def can_say_silent(self) -> bool:
        """Whether messages that other workers are silent are wanted, and can be sent."""
        return self._has_urls and "worker_silent" in self._on and channels.missing_package() is None

    @property
    def silences_said(self) -> frozenset[str] | None:
        """The workers of which an alert says that they are silent; None if this one does not watch others."""
        return said(self._active) if self._is_wanted and self._silences.watches else None

    def reports_written(self, *reports: DayReport) -> None:
        """Note reports that were written, in any thread; the next heartbeat says so."""
        self._reports.extend(reports)

    def _say(self, found: Sequence[Condition], failed: bool = False) -> None:
        """Send what begins and ends; after one that has `failed`, no worker may be there to do it later."""
        now = self._clock()
        wanted = [condition for condition in found if condition.event in self._on]
        messages = self._active.advance(wanted, now, self._zone)
        messages += self._of_reports(now)
        for message in self._quiet.let_through(messages, now, at_once=failed):
            self.sender.put(message)
        self._remember()

    def _watch(self, silences: Silences) -> None:
        if not (silences.watches and self._silences.watches):
            take_over(self._active, silences)
        if not silences.reports:
            leave_drift(self._active)
        self._silences = silences

    def _of_reports(self, now: datetime) -> list[Message]:
        """Return the message of finished days that were not said before: others were only written again."""
        written = [self._reports.popleft() for _ in range(len(self._reports))]
        today = now.astimezone(self._zone).date()
        new = [r for r in written if r.day < today and (self._reported is None or r.day > self._reported)]
        if not new or "report" not in self._on:
            return []
        self._reported = max(report.day for report in new)
        return [of_reports(new, now)]

    def _refused_before(self, beat: Heartbeat) -> list[Condition]:
        """Return why earlier workers could not run: that is over once this one takes photos."""
        if beat.state == "watching":
            return []
        return [condition for condition in self._conditions if condition.event == "refused"]

    @property
    def _conditions(self) -> list[Condition]:
        return [alert.condition for alert in self._active.alerts.values()]

    def _forget_what_is_off(self) -> None:
        kept = {k: a for k, a in self._active.alerts.items() if a.condition.event in self._on}
        self._active.alerts = kept

    def _remember(self) -> None:
        self._memory.write(Remembered(self._active, self._quiet.held, self.sender.waiting, self._reported))


def _opened(urls: tuple[str, ...]) -> list[channels.Channel]:
    """Return the channels that can be used; log what is wrong with the others."""
    if urls and (missing := channels.missing_package()):
        log.error("%s; no alerts are sent", missing)
        return []
    found: list[channels.Channel] = []
    for channel in channels.open_all(urls):
        if isinstance(channel, str):
            log.error("%s; no alerts are sent there", channel)
        else:
            found.append(channel)
    return found


def _refused(error: Exception) -> Condition:
    """Return why a worker ends; each kind of reason is an alert of its own."""
    kinds = {"model": (ModelError, BundleError), "database": (DatabaseError, DatabaseProblem)}
    kind = next((name for name, types in kinds.items() if isinstance(error, types)), "worker")
    return Condition("refused", f"refused {kind}", f"The worker has ended: {in_words(error)}")


def _unclean_end(settings: Settings) -> datetime | None:
    """Return the last sign of life of the worker before, if that ended without stopping."""
    try:
        beat = heartbeat.read(settings.state / heartbeat.FILE_NAME)
    except OSError:
        return None
    return beat.at if beat and beat.state != "stopped" else None
