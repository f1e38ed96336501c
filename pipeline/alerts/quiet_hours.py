"""Hold messages back in the quiet hours, and give them out as one afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from zoneinfo import ZoneInfo

from pipeline.alerts.message import Message, merged


@dataclass(slots=True)
class QuietHours:
    """Hours of each day in `zone`, from the first time to before the second; None for no such hours."""

    hours: tuple[time, time] | None
    zone: ZoneInfo
    held: list[Message] = field(default_factory=list)

    def let_through(self, messages: Sequence[Message], now: datetime, at_once: bool = False) -> list[Message]:
        """Return what may be sent now: nothing in the quiet hours, afterwards those held, as one, first.

        With `at_once` the quiet hours do not count.
        """
        if self._is_quiet(now) and not at_once:
            self.held += messages
            return []
        waited, self.held = self.held, []
        return [*([merged(waited, now)] if waited else []), *messages]

    def _is_quiet(self, now: datetime) -> bool:
        if self.hours is None:
            return False
        begin, end = self.hours
        clock = now.astimezone(self.zone).time()
        return begin <= clock < end if begin < end else clock >= begin or clock < end
