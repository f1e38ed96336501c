"""The form that takes the token once and leaves a cookie, where `web.token` is set."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.web.middleware.cookies import cookies
from pipeline.web.middleware.guard import COOKIE
from pipeline.web.middleware.redirects import own_path
from pipeline.web.middleware.request_log import address_of
from pipeline.web.middleware.sessions import MONTH_SECONDS
from pipeline.web.services.context import ContextDep
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:
    """Show the form."""
    return render(request, "login.html", next=own_path(next), wrong=False)


@router.post("/login")
def enter(
    request: Request, site: ContextDep, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"
) -> Response:
    """Take the token, and leave a cookie that no script and no other site can use."""
    if site.settings.web.token is None:
        return RedirectResponse("/", 303)
    if not site.attempts.is_right(address_of(request), token.strip()):
        response: Response = render(request, "login.html", next=own_path(next), wrong=True)
        response.status_code = 401
        return response
    response = RedirectResponse(own_path(next), 303)
    response.set_cookie(
        COOKIE,
        site.sessions.begin(),
        max_age=MONTH_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
def leave(request: Request, site: ContextDep) -> Response:
    """End the session, and take the cookie back; whoever has a copy of it is signed out too."""
    for cookie in cookies(request.headers, COOKIE):
        site.sessions.end(cookie)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
