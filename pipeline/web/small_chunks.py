"""Refuse bodies in very small chunks, whose framing keeps the server busy far longer than their content.

Each chunk costs the event loop some microseconds whatever it contains, and one read of a socket may hold
43,000 chunks of one byte. A few such clients would stop the server for all others, without a token too.
"""

from __future__ import annotations

from typing import Any

import h11

HEAD_BYTES = 64 * 1024
"""Maximum size of the head of a request; browsers send the cookies of every program on the same host."""

FREE_CHUNKS = 1_000
"""Chunks of one body that may be of any size."""

CHUNK_BYTES = 64
"""Average size that the further chunks of a body must have; programs send some kilobytes in each."""


class ChunkLimitedConnection(h11.Connection):
    """A parser of HTTP/1.1 that limits how many chunks a body may have for its size."""

    has_small_chunks = False
    """Whether a body was refused for its small chunks."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES)
        self._chunks = 0
        self._bytes = 0

    def next_event(self) -> Any:
        """Return the next event. Raises h11.RemoteProtocolError, also for very small chunks."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_end
            self._bytes += len(event.data)
            if self._chunks > FREE_CHUNKS + self._bytes / CHUNK_BYTES:
                self.has_small_chunks = True
                raise h11.RemoteProtocolError("The chunks are too small.")
        return event
