"""URLs of this server: inside the program paths begin at `/`; here they get the prefix of a reverse proxy."""

from __future__ import annotations

from starlette.requests import Request

PREFIX = "pawsort.prefix"
"""Key of an ASGI scope: the path below which browsers see the pages, such as `/pets`; empty for `/`."""


def prefix_of(request: Request) -> str:
    """Return the path below which the browser of a request sees the pages."""
    return str(request.scope.get(PREFIX, ""))


def url_of(request: Request, path: str) -> str:
    """Return the URL of a path of this server, relative to its host, so that scheme and host remain."""
    return prefix_of(request) + path
