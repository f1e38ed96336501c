"""Cookies of a request, read leniently: a browser sends those of every program on the same host."""

from __future__ import annotations

from itertools import islice

from starlette.datastructures import Headers

MOST = 10
"""Cookies of one name that are looked at."""


def cookies(headers: Headers, name: str) -> list[str]:
    """Return the values of each cookie of this name, in the order sent; other cookies do not matter."""
    pairs = (pair.partition("=") for header in headers.getlist("cookie") for pair in header.split(";"))
    found = (value.strip().strip('"') for key, _, value in pairs if key.strip() == name)
    return list(islice(found, MOST))
