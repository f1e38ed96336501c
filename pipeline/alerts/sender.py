"""The threads that deliver messages and heartbeat pings, so that no photo waits for a server.

There is one for each channel, and one for the pings: a server that takes minutes, or never answers, keeps its
own messages waiting and no others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from pipeline.alerts.channels import Channel
from pipeline.alerts.heartbeat_ping import HeartbeatPing
from pipeline.alerts.message import Message
from pipeline.alerts.outbox import Outbox, Waiting

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks for what is due."""

SLOW_SECONDS = 60.0
"""A delivery that takes longer is logged; it is waited for, since a second one might say all twice."""


class Sender:
    """Delivers what is put, in daemon threads; `put`, `waiting` and `stop` never wait for a server.

    `channels` is called in a thread, since Apprise takes time to import. `keys` are those of the channels
    that it will return, or more. `clock` gives UTC, `monotonic` seconds of a clock that never goes back.
    """

    def __init__(
        self,
        channels: Callable[[], Sequence[Channel]],
        keys: Iterable[str],
        ping: HeartbeatPing,
        waiting: Iterable[Waiting] = (),
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open = channels
        self._channels: dict[str, Channel] | None = None
        self._opening = threading.Lock()
        self._keys = tuple(dict.fromkeys(keys))
        self._outbox = Outbox(self._keys, waiting)
        self._began: dict[str, float] = {}
        self._ping = ping
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        steps: list[Callable[[], bool]] = [self._step_ping]
        steps += [partial(self._step_channel, key) for key in self._keys]
        self._loops = [_Loop(step, self._stopping) for step in steps]

    def start(self) -> None:
        """Start the threads."""
        for loop in self._loops:
            loop.thread.start()

    def put(self, message: Message) -> None:
        """Have a message delivered to each channel."""
        with self._lock:
            self._outbox.put(message)
        for loop in self._loops:
            loop.wake.set()

    @property
    def waiting(self) -> list[Waiting]:
        """What is not delivered yet."""
        with self._lock:
            return self._outbox.waiting

    def stop(self, seconds: float) -> None:
        """Let the threads deliver what is due, for some seconds at most; then go on without them."""
        self._stopping.set()
        until = time.monotonic() + seconds
        for loop in self._loops:
            loop.wake.set()
        for loop in self._loops:
            if loop.thread.is_alive():
                loop.thread.join(max(0.0, until - time.monotonic()))

    def step(self) -> bool:
        """Do one thing that is due, in this thread; return whether there was one."""
        return self._step_ping() or any(self._step_channel(key) for key in self._keys)

    def _step_ping(self) -> bool:
        self._note_slow()
        if not self._ping.is_due(self._monotonic()):
            return False
        self._ping.send(self._monotonic())
        return True

    def _step_channel(self, key: str) -> bool:
        with self._lock:
            message = self._outbox.due(key, self._monotonic())
        if message is None:
            return False
        self._deliver(self._opened().get(key), key, message)
        return True

    def _opened(self) -> dict[str, Channel]:
        with self._opening:
            if self._channels is None:
                self._channels = {}  # once, whatever happens
                self._channels = {channel.key: channel for channel in self._open()}
            return self._channels

    def _deliver(self, channel: Channel | None, key: str, message: Message) -> None:
        self._began[key] = self._monotonic()
        problem = channel.send(message) if channel else None
        self._began.pop(key, None)
        place = channel.place if channel else "notify.urls"
        with self._lock:
            if problem is None:
                again, first = self._outbox.delivered(key, message), False
            else:
                again, first = False, self._outbox.failed(key, message, self._monotonic(), self._clock())
        if again:
            log.info("%s: takes messages again", place)
        if first:
            log.warning("%s: a message was not taken: %s; trying again for a day", place, problem)

    def _note_slow(self) -> None:
        """Log each delivery that takes long, once."""
        late = self._monotonic() - SLOW_SECONDS
        for key, began in [*self._began.items()]:
            if began < late:
                self._began.pop(key, None)
                channel = (self._channels or {}).get(key)
                place = channel.place if channel else "notify.urls"
                why = "the server has not answered for a minute; its other messages wait until it does"
                log.warning("%s: %s", place, why)


class _Loop:
    """A daemon thread that takes steps until there is nothing to do, and again when it is woken."""

    def __init__(self, step: Callable[[], bool], stopping: threading.Event) -> None:
        self.wake = threading.Event()
        self._step = step
        self._stopping = stopping
        self.thread = threading.Thread(target=self._run, name="pawsort-alerts", daemon=True)

    def _run(self) -> None:
        while True:
            self.wake.clear()
            try:
                while self._step():
                    pass
            except Exception:  # an alert must not end all later alerts
                log.exception("alerts: unexpected error")
            if self._stopping.is_set():
                return
            self.wake.wait(LOOK_SECONDS)
