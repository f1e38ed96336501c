"""Tell the service manager what the worker does, and stop doing so when the worker makes no progress.

Only the thread that takes the steps calls it. So a worker that is stopped or deadlocked is silent, and the
service manager ends it and starts it again. A worker that is paused tries again, and is not silent.
"""

from __future__ import annotations

from pipeline.logs import printable
from pipeline.service.notify_socket import NotifySocket
from pipeline.worker.heartbeat import Heartbeat

PREPARE_SECONDS = 3600.0
"""The longest that one part of the start takes, such as a migration or the recovery of many files."""

LOADING_SECONDS = 60.0
"""The longest between two steps while the model is loaded."""

MOST_CHARACTERS = 300
"""Length of a status text, which `systemctl status` shows in one line."""


class Watchdog:
    """Messages to the service manager about one run of the worker."""

    def __init__(self, socket: NotifySocket | None = None) -> None:
        self._socket = socket or NotifySocket()
        self._is_ready = False
        watched = self._socket.watchdog_seconds
        self.beat_seconds = watched / 3 if watched else float("inf")
        """Seconds within which it needs the next beat, so that one may come late."""

    @property
    def has_manager(self) -> bool:
        """Whether there is a service manager, which starts the worker again."""
        return self._socket.is_open

    def prepare(self, what: str) -> None:
        """Tell what is done before the first beat, and ask for time."""
        self._socket.send(f"STATUS={_line(what)}", _extend(PREPARE_SECONDS))

    def beat(self, beat: Heartbeat, stuck: str | None) -> None:
        """Tell the state of the worker; give no sign of life if it is `stuck`, for the reason given."""
        status = f"STATUS={status_text(beat)}"
        if beat.state in ("stopping", "stopped"):
            self._socket.send(status, "STOPPING=1")
        elif not self._is_ready and beat.state != "watching":
            self._socket.send(status, _extend(LOADING_SECONDS))
        elif not self._is_ready:
            self._is_ready = self._socket.send(status, "READY=1", "WATCHDOG=1")
        else:
            self._socket.send(status, *(() if stuck else ("WATCHDOG=1",)))


def status_text(beat: Heartbeat) -> str:
    """Return one line: state, health with its first reason, rate, waiting files, last file."""
    health = f"{beat.health}: {beat.reasons[0]}" if beat.reasons else beat.health
    last = f", last {beat.last_file}" if beat.last_file else ""
    return _line(f"{beat.state}, {health}; {beat.rate_per_second:.1f} files/s, {beat.waiting} waiting{last}")


def _line(text: str) -> str:
    return printable(text)[:MOST_CHARACTERS]


def _extend(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"
