"""Messages on their way: a queue for each channel, with back-off after failures; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.alerts.message import Message

BACKOFF_SECONDS = (10.0, 30.0, 60.0, 300.0, 900.0)
"""Pauses after a failed delivery; the last one from then on."""

MOST = 100
"""Messages that wait for a channel at most; the oldest are dropped."""

KEEP = timedelta(hours=24)
"""How long the delivery of a message is tried."""

Waiting = tuple[str, Message]
"""The key of a channel, and a message for it."""


@dataclass(slots=True)
class _Queue:
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=MOST))
    failures: int = 0
    retry_at: float = 0.0


class Outbox:
    """The undelivered messages of each channel, in order."""

    def __init__(self, channels: Iterable[str], waiting: Iterable[Waiting] = ()) -> None:
        self._queues = {channel: _Queue() for channel in channels}
        for channel, message in waiting:  # of a channel that is no longer in the settings: dropped
            if queue := self._queues.get(channel):
                queue.messages.append(message)

    @property
    def waiting(self) -> list[Waiting]:
        """What is not delivered yet."""
        return [(channel, each) for channel, queue in self._queues.items() for each in queue.messages]

    def put(self, message: Message) -> None:
        """Add a message for each channel."""
        for queue in self._queues.values():
            queue.messages.append(message)

    def due(self, channel: str, seconds: float) -> Message | None:
        """Return the message to deliver at `seconds` of a clock that never goes back, None if none is due."""
        queue = self._queues[channel]
        return queue.messages[0] if queue.messages and queue.retry_at <= seconds else None

    def delivered(self, channel: str, message: Message) -> bool:
        """Forget a message that was delivered; return whether others failed before."""
        queue = self._queues[channel]
        self._remove(queue, message)
        failures, queue.failures, queue.retry_at = queue.failures, 0, 0.0
        return failures > 0

    def failed(self, channel: str, message: Message, seconds: float, now: datetime) -> bool:
        """Note a failed delivery, and drop the message after KEEP; return whether it is the first failure."""
        queue = self._queues[channel]
        queue.retry_at = seconds + BACKOFF_SECONDS[min(queue.failures, len(BACKOFF_SECONDS) - 1)]
        queue.failures += 1
        if now - message.at > KEEP:
            self._remove(queue, message)
        return queue.failures == 1

    def _remove(self, queue: _Queue, message: Message) -> None:
        if message in queue.messages:  # a full queue may have dropped it meanwhile
            queue.messages.remove(message)
