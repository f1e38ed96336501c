"""Parse the cookies of a request leniently, because browsers send those of every program on the same host."""

from __future__ import annotations

from itertools import islice

from starlette.datastructures import Headers

MOST = 10
"""Maximum number of cookies of one name that are read."""


def cookies(headers: Headers, name: str) -> list[str]:
    """Return the values of the cookies with this name, in the order sent; other cookies are ignored."""
    pairs = (pair.partition("=") for header in headers.getlist("cookie") for pair in header.split(";"))
    found = (value.strip().strip('"') for key, _, value in pairs if key.strip() == name)
    return list(islice(found, MOST))
