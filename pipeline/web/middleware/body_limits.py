"""Limits for the size and the duration of request bodies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from python_multipart.multipart import parse_options_header
from starlette.types import Message, Receive

from pipeline.web.middleware.problems import Problem

SMALL_BODY = 256 * 1024
"""Maximum size of a body without files."""

UPLOAD_PATHS = frozenset({"/try", "/try/heat", "/api/classify", "/api/inbox"})
"""Paths that accept files; these limit their bodies themselves, by `limits.file_mb`."""

SILENCE_SECONDS = 30.0
"""Maximum time without data from the client."""

SLOWEST = 2_000
"""Bytes a second, on average and after SILENCE_SECONDS, below which a request is refused."""


def is_upload(path: str) -> bool:
    """Return whether a path accepts files."""
    return path in UPLOAD_PATHS


def is_foreign_form(path: str, content_type: str | None) -> bool:
    """Return whether a path that takes no files would get a form with files.

    Starlette's parser for these decodes by any codec that the client names, of which some need seconds, keeps
    unknown names forever, and makes a temporary file of each part. UPLOAD_PATHS have a parser of their own;
    the pages send all other forms urlencoded, and programs send JSON.
    """
    # The function by which Starlette chooses its parser, so that no spelling passes.
    kind, _ = parse_options_header(content_type)
    return kind == b"multipart/form-data" and not is_upload(path) and not path.startswith("/api/")


class BodyLimiter:
    """A `receive` that refuses bodies larger than `limit` bytes (None: unlimited), and slow ones."""

    def __init__(self, receive: Receive, limit: int | None, clock: Callable[[], float] = monotonic) -> None:
        self._receive = receive
        self._limit = limit
        self._clock = clock
        self._began = clock()
        self._bytes = 0
        self._whole = False

    async def __call__(self) -> Message:
        """Return the next message. Raises Problem 408 and 413."""
        if self._whole:  # the next message is the disconnect, which has no time limit
            return await self._receive()
        message = await self._in_time()
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._limit is not None and self._bytes > self._limit:
            raise Problem(413, f"The request is larger than {self._limit:,} bytes.", "Send less at once.")
        return message

    async def _in_time(self) -> Message:
        allowance = self._bytes / SLOWEST
        left = min(SILENCE_SECONDS, self._began + SILENCE_SECONDS + allowance - self._clock())
        try:
            return await asyncio.wait_for(self._receive(), max(0.0, left))
        except TimeoutError:
            words = "The request came too slowly."
            raise Problem(408, words, "Try again on a faster connection.", {"Connection": "close"}) from None
