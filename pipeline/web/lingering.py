"""Close a connection without losing its response while the client still sends.

Closing a socket with unread received data resets the connection, and the client then loses the response that
it has not read yet. Many clients read it only after they have sent the whole body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

DISCARD_SECONDS = 5.0
"""Maximum time for the rest of a body after the response."""

DISCARD_BYTES = 32_000_000
"""Maximum size of the rest of a body after the response."""


class LingeringTransport:
    """A transport whose first `close` only ends the sending half while `must_linger` says so."""

    def __init__(self, transport: asyncio.Transport, must_linger: Callable[[], bool]) -> None:
        self._transport = transport
        self._must_linger = must_linger
        self.lingers = False
        """Whether it was closed and waits for the client to finish sending."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Return whether it was closed; what the client sends is discarded."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close it, or end the sending half; a second call closes it in any case."""
        if self.lingers or self._transport.is_closing() or not self._must_linger():
            self._transport.close()
            return
        self.lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
