"""Who is at the page: a name that a person types once, noted beside what they settle."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.corrections.corrections import login_name
from pipeline.logs import printable
from pipeline.web.middleware.cookies import cookies
from pipeline.web.middleware.redirects import own_path

router = APIRouter(include_in_schema=False)

COOKIE = "pawsort_name"
LONGEST = 60
YEAR_SECONDS = 365 * 24 * 3600


def who(request: Request, said: str | None = None) -> str:
    """Return who asks: the name `said` in the request, else the visitor's, else that of the server's user."""
    return _tidy(said or "") or given(request) or login_name()


def given(request: Request) -> str | None:
    """Return the name that the visitor gave, if any."""
    names = (_tidy(unquote(cookie)) for cookie in cookies(request.headers, COOKIE))
    return next(filter(None, names), None)


@router.post("/name")
def take(request: Request, name: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    """Remember a name in a cookie that no script can read; an empty one is forgotten."""
    response = RedirectResponse(own_path(next), 303)
    how = {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}
    response.set_cookie(COOKIE, quote(_tidy(name)), max_age=YEAR_SECONDS, **how)  # type: ignore[arg-type]
    return response


def _tidy(name: str) -> str:
    return printable(" ".join(name.split()))[:LONGEST].strip()
