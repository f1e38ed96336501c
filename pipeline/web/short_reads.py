"""Read little at a time from each connection, so that many busy ones do not keep the others waiting.

asyncio reads up to 256 kB at once. To parse as much takes 15 ms if it comes in small chunks, and a request
waits for several rounds of all connections. Uploads, which need the token, are faster with long reads.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod

READ_BYTES = 16 * 1024
"""Maximum number of bytes that are received and parsed before the other connections have their turn."""

UPLOAD_BYTES = 256 * 1024
"""The same for an upload."""


class ShortReads(asyncio.BufferedProtocol):
    """A protocol whose `data_received` gets at most READ_BYTES at once, or UPLOAD_BYTES."""

    _buffer = memoryview(b"")

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Return the buffer for the next read."""
        size = UPLOAD_BYTES if self.takes_upload else READ_BYTES
        if len(self._buffer) != size:
            self._buffer = memoryview(bytearray(size))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass the received bytes on."""
        self.data_received(bytes(self._buffer[:nbytes]))

    @property
    @abstractmethod
    def takes_upload(self) -> bool:
        """Whether it receives files."""

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Take the received bytes."""
