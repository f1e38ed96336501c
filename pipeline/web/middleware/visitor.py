"""The visitor's name, which is recorded with each correction."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import Request

from pipeline.corrections.correct_undo_retry import login_name
from pipeline.logs import printable
from pipeline.web.middleware.cookies import cookies

COOKIE = "pawsort_name"
LONGEST = 60


def visitor_name(request: Request, stated: str | None = None) -> str:
    """Return the name to record: `stated`, else the one in the visitor's cookie, else the server's user."""
    return tidy(stated or "") or chosen_name(request) or login_name()


def chosen_name(request: Request) -> str | None:
    """Return the name in the visitor's cookie, None without one."""
    names = (tidy(unquote(cookie)) for cookie in cookies(request.headers, COOKIE))
    return next(filter(None, names), None)


def tidy(name: str) -> str:
    """Return a name on one line, without control characters, of at most LONGEST characters."""
    return printable(" ".join(name.split()))[:LONGEST].strip()
