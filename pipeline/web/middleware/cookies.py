"""Parse the cookies of a request leniently, because browsers send those of every program on the same host."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from pipeline.web.views.urls import url_of

PREFIX = b"pawsort"
"""How the names of all cookies of this server begin."""

MOST = 10
"""Maximum number of cookies of one name that are read."""


def cookies(headers: Headers, name: str) -> list[str]:
    """Return the values of the cookies with this name, in the order sent; other cookies are ignored."""
    pairs = (pair.partition("=") for header in headers.getlist("cookie") for pair in header.split(";"))
    found = (value.strip().strip('"') for key, _, value in pairs if key.strip() == name)
    return list(islice(found, MOST))


def set_cookie(request: Request, response: Response, name: str, value: str, max_age: int) -> None:
    """Set a cookie for these pages only, which scripts and other sites cannot use, and after TLS only TLS."""
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path=url_of(request, "") or "/",
        secure=request.scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Delete a cookie that `set_cookie` set."""
    set_cookie(request, response, name, "", 0)


def without_foreign(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    r"""Return the headers of an ASGI scope with only the cookies that this server may have set.

    FastAPI parses the cookies of every request by `http.cookies`, which needs time that grows with the square
    of a quoted value with backslashes (CVE-2024-7592, in Python before 3.11.10 and 3.12.6).
    """
    own = ((name, _own(value) if name == b"cookie" else value) for name, value in headers)
    return [(name, value) for name, value in own if name != b"cookie" or value]


def _own(pairs: bytes) -> bytes:
    return b";".join(pair for pair in pairs.split(b";") if _is_own(pair))


def _is_own(pair: bytes) -> bool:
    return pair.lstrip().startswith(PREFIX) and b"\\" not in pair
