"""Sign in with the token, sign out, and keep the visitor's name; each in a cookie."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response

from pipeline.web.middleware import visitor
from pipeline.web.middleware.cookies import delete_cookie, set_cookie
from pipeline.web.middleware.redirects import own_path, see_other
from pipeline.web.middleware.request_log import address_of
from pipeline.web.middleware.sessions import COOKIE, MONTH_SECONDS
from pipeline.web.services import recent_answers
from pipeline.web.services.context import ContextDep
from pipeline.web.views.rendering import render

router = APIRouter(include_in_schema=False)

YEAR_SECONDS = 365 * 24 * 3600


@router.get("/login")
def login_form(request: Request, next: str = "/") -> Response:
    """Return the form."""
    return render(request, "login.html", next=own_path(next), wrong=False)


@router.post("/login")
def sign_in(
    request: Request,
    context: ContextDep,
    token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Check the token and set the session cookie, which scripts and other sites cannot use."""
    if context.settings.web.token is None:
        return see_other(request, "/")
    if not context.attempts.is_right(address_of(request), token.strip()):
        response: Response = render(request, "login.html", next=own_path(next), wrong=True)
        response.status_code = 401
        return response
    response = see_other(request, own_path(next))
    set_cookie(request, response, context.sessions.cookie, context.sessions.begin(), MONTH_SECONDS)
    return response


@router.post("/logout")
def sign_out(request: Request, context: ContextDep) -> Response:
    """End the session on the server, so that copies of its cookie end too, and delete its cookies."""
    for cookie in context.sessions.sent(request.headers):
        context.sessions.end(cookie)
    response = see_other(request, "/login")
    for name in (context.sessions.cookie, COOKIE, *recent_answers.names(context)):
        delete_cookie(request, response, name)
    return response


@router.post("/name")
def keep_name(
    request: Request, name: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"
) -> Response:
    """Keep the visitor's name in a cookie that scripts cannot read; an empty name clears it."""
    response = see_other(request, own_path(next))
    set_cookie(request, response, visitor.COOKIE, quote(visitor.tidy(name)), YEAR_SECONDS)
    return response
