"""How much of a request's body is taken, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from starlette.types import Message, Receive

from pipeline.web.middleware.problems import Problem

SMALL_BODY = 256 * 1024
"""Bytes that a form without files may have."""

UPLOAD_PATHS = frozenset({"/try", "/try/heat", "/api/classify", "/api/inbox"})
"""Where files come in; these bound their bodies themselves, by `limits.file_mb`."""

PATIENCE_SECONDS = 30.0
"""How long a client may send nothing."""

SLOWEST = 2_000
"""Bytes a second, on average and after PATIENCE_SECONDS, below which a client only holds its place."""


def is_upload(path: str) -> bool:
    """Tell whether a path takes files."""
    return path in UPLOAD_PATHS


class BodyLimiter:
    """A `receive` that refuses bodies of more than `limit` bytes (None: any), and those that trickle."""

    def __init__(self, receive: Receive, limit: int | None, clock: Callable[[], float] = monotonic) -> None:
        self._receive = receive
        self._limit = limit
        self._clock = clock
        self._began = clock()
        self._bytes = 0
        self._whole = False

    async def __call__(self) -> Message:
        """Return the next message. Raises Problem 408 and 413."""
        if self._whole:  # what comes now is that the client leaves, which may take for ever
            return await self._receive()
        message = await self._in_time()
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._limit is not None and self._bytes > self._limit:
            raise Problem(413, f"The request is larger than {self._limit:,} bytes.", "Send less at once.")
        return message

    async def _in_time(self) -> Message:
        earned = self._bytes / SLOWEST
        left = min(PATIENCE_SECONDS, self._began + PATIENCE_SECONDS + earned - self._clock())
        try:
            return await asyncio.wait_for(self._receive(), max(0.0, left))
        except TimeoutError:
            words = "The request came too slowly."
            raise Problem(
                408, words, "Try again, with a better connection.", {"Connection": "close"}
            ) from None
