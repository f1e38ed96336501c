"""Redirects after a form: only to pages of this server, whatever the form contains."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse

from pipeline.web.views.urls import url_of

LONGEST = 2_000
"""Maximum length of an address."""


def see_other(request: Request, path: str) -> RedirectResponse:
    """Return a redirect to a path of this server; the browser asks for it by GET."""
    return RedirectResponse(url_of(request, path), 303)


def own_path(address: str) -> str:
    """Return `address` if browsers read it as a path on this server, else `/`."""
    path = address.partition("?")[0].partition("#")[0]
    # Decoded twice, because a proxy may decode once more than it should.
    plain = all(map(_is_plain, (path, once := unquote(path), unquote(once))))
    return address if plain and len(address) <= LONGEST and address.isprintable() else "/"


def _is_plain(path: str) -> bool:
    return path.startswith("/") and "//" not in path and "\\" not in path and path.isprintable()
