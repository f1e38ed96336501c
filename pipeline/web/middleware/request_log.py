"""Log one line for each request, with a limit for unauthenticated ones, so that they cannot fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from starlette.requests import Request

log = logging.getLogger(__name__)

LINES, LINES_SECONDS = 50, 10.0
"""Lines within LINES_SECONDS for requests that are refused or need no token."""

PATH_LETTERS, METHOD_LETTERS = 200, 10
"""Characters of a path and of a method in a line."""


class Lines:
    """Limits the number of lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._written = 0

    def may_write(self) -> bool:
        """Count a line and return whether to write it; log how many were dropped when the period ends."""
        now = self._clock()
        if now - self._began >= LINES_SECONDS:
            if (left := self._written - LINES) > 0:
                log.info("%d more requests that were refused or need no token were not logged", left)
            self._began, self._written = now, 0
        self._written += 1
        return self._written <= LINES


def named(request: Request) -> str:
    """Return method and path, shortened; never the query, which may contain private data."""
    path = request.scope["path"]
    shown = path if len(path) <= PATH_LETTERS else f"{path[:PATH_LETTERS]}... ({len(path)} characters)"
    return f"{request.method[:METHOD_LETTERS]} {shown}"


def address_of(request: Request) -> str:
    """Return the client address of a request."""
    return request.client.host if request.client else "-"
