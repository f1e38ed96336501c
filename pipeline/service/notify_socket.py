"""Messages to the service manager, by the protocol of systemd's `sd_notify`: one datagram each.

Own code, because a library for one datagram would be one more dependency.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

SEND_SECONDS = 0.1
"""How long a message may wait for a service manager that is busy."""


class NotifySocket:
    """The socket of the service manager; with an empty `address`, there is none and nothing is sent.

    `watchdog_seconds` is the longest time that it lets pass without a sign of life; None if it watches none.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds if address else None
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str] = os.environ) -> NotifySocket:
        """Take the socket out of the environment, so that no child speaks for this process."""
        address, microseconds, pid = (
            environment.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        )
        is_watched = microseconds.isdecimal() and int(microseconds) > 0 and pid in ("", str(os.getpid()))
        return cls(
            address if address.startswith(("/", "@")) else "",
            int(microseconds) / 1e6 if is_watched else None,
        )

    @property
    def is_open(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    def send(self, *fields: str) -> bool:
        """Send fields such as `READY=1`; return False if they were not sent. Never raises OSError."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.settimeout(SEND_SECONDS)
                notify.sendto("\n".join(fields).encode("utf-8", "backslashreplace"), self._address)
        except OSError:  # the service manager is busy or has ended; the next beat tells it the same
            return False
        return True
