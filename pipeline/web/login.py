"""The form that takes the token once and leaves a cookie, where `web.token` is set."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.web.rendering import render
from pipeline.web.safety import COOKIE, same, session
from pipeline.web.site import Here

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)

MONTH_SECONDS = 30 * 24 * 3600


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:
    """Show the form."""
    return render(request, "login.html", next=own_path(next), wrong=False)


@router.post("/login")
def enter(
    request: Request, site: Here, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"
) -> Response:
    """Take the token, and leave a cookie that no script and no other site can use."""
    expected = site.settings.web.token
    if expected is None:
        return RedirectResponse("/", 303)
    if not same(token.strip(), expected):
        log.warning("somebody gave a wrong token")
        response: Response = render(request, "login.html", next=own_path(next), wrong=True)
        response.status_code = 401
        return response
    response = RedirectResponse(own_path(next), 303)
    response.set_cookie(
        COOKIE,
        session(expected),
        max_age=MONTH_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
def leave() -> Response:
    """Take the cookie back."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def own_path(path: str) -> str:
    """Return a path of this server, `/` for what would lead elsewhere."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else "/"
