"""The thread that delivers messages and heartbeat pings, so that no photo waits for a server."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from pipeline.alerts.channels import Channel
from pipeline.alerts.heartbeat_ping import HeartbeatPing
from pipeline.alerts.message import Message
from pipeline.alerts.outbox import Outbox, Waiting

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks for what is due."""


class Sender:
    """Delivers what is put, in a daemon thread; `put`, `waiting` and `stop` never wait for a server.

    `channels` is called in the thread, since Apprise takes time to import. `keys` are those of the channels
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
        self._outbox = Outbox(keys, waiting)
        self._ping = ping
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pawsort-alerts", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, message: Message) -> None:
        """Have a message delivered to each channel."""
        with self._lock:
            self._outbox.put(message)
        self._wake.set()

    @property
    def waiting(self) -> list[Waiting]:
        """What is not delivered yet."""
        with self._lock:
            return self._outbox.waiting

    def stop(self, seconds: float) -> None:
        """Let the thread deliver what is due, for some seconds at most; then go on without it."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def step(self) -> bool:
        """Do one thing that is due; return whether there was one."""
        channels = self._opened()
        if self._ping.is_due(self._monotonic()):
            self._ping.send(self._monotonic())
            return True
        with self._lock:
            due = self._outbox.due(self._monotonic())
        if due is None:
            return False
        self._deliver(channels.get(due[0]), *due)
        return True

    def _opened(self) -> dict[str, Channel]:
        if self._channels is None:
            self._channels = {}  # once, whatever happens
            self._channels = {channel.key: channel for channel in self._open()}
        return self._channels

    def _deliver(self, channel: Channel | None, key: str, message: Message) -> None:
        problem = channel.send(message) if channel else None
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

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                while self.step():
                    pass
            except Exception:  # an alert must not end all later alerts
                log.exception("alerts: unexpected error")
            if self._stopping.is_set():
                return
            self._wake.wait(LOOK_SECONDS)
