"""One line of the log for each request, but few for those that anybody may make: they would fill the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from starlette.requests import Request

log = logging.getLogger(__name__)

LINES, LINES_SECONDS = 50, 10.0
"""Lines in so many seconds for requests that are refused or that need no token."""

PATH_LETTERS, METHOD_LETTERS = 200, 10
"""What a line shows of a path and of a method."""


class Lines:
    """Counts lines, and tells whether another one may be written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._written = 0

    def may_write(self) -> bool:
        """Count a line; when lines may be written again, say how many were not."""
        now = self._clock()
        if now - self._began >= LINES_SECONDS:
            if (left := self._written - LINES) > 0:
                log.info("%d more requests that were refused, or that need no token, are not shown", left)
            self._began, self._written = now, 0
        self._written += 1
        return self._written <= LINES


def named(request: Request) -> str:
    """Return method and path, each bounded; never the query, which may hold what is private."""
    path = request.scope["path"]
    shown = path if len(path) <= PATH_LETTERS else f"{path[:PATH_LETTERS]}... ({len(path)} characters)"
    return f"{request.method[:METHOD_LETTERS]} {shown}"


def address_of(request: Request) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client else "-"
