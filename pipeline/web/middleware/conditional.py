"""HEAD and conditional GET for every route.

Source: RFC 9110, sections 9.3.2 (HEAD), 13.1.2 (If-None-Match), 13.1.3 (If-Modified-Since), 15.4.5 (304).
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.web.middleware.etags import matches_weakly, tags_in

BODILESS = "pawsort.bodiless"
"""Key of an ASGI scope that tells a route that its body will not be sent, so that it can skip making it."""

_OF_THE_BODY = ("content-length", "content-type", "content-encoding", "content-range", "content-disposition")


class Conditional:
    """Answers HEAD like GET without a body, and 304 if the client has the current version."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            is_head = scope["method"] == "HEAD"
            send = _Reply(send, Headers(scope=scope), is_head)
            scope = _as_get(scope) if is_head else scope
        await self._app(scope, receive, send)


class _Reply:
    def __init__(self, send: Send, request: Headers, bodiless: bool) -> None:
        self._send = send
        self._request = request
        self._bodiless = bodiless

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] in (200, 206) and is_fresh(self._request, Headers(scope=message)):
                message = _not_modified(message)
                self._bodiless = True
            await self._send(message)
        elif not self._bodiless:
            await self._send(message)
        elif not message.get("more_body", False):
            await self._send({"type": "http.response.body", "body": b""})


def is_fresh(request: Headers, response: Headers) -> bool:
    """Return whether the conditions of a request show that the client has the current version."""
    if "if-none-match" in request:
        tags = tags_in(", ".join(request.getlist("if-none-match")))
        etag = response.get("etag")
        return tags is not None and etag is not None and matches_weakly(tags, etag)
    since, changed = _time(request.get("if-modified-since")), _time(response.get("last-modified"))
    return since is not None and changed is not None and changed <= since


def _as_get(scope: Scope) -> Scope:
    # Ranges are defined for GET only.
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "method": "GET", "headers": headers, BODILESS: True}


def _not_modified(message: Message) -> Message:
    message = {**message, "status": 304, "headers": list(message["headers"])}
    headers = MutableHeaders(scope=message)
    for name in _OF_THE_BODY:
        del headers[name]
    return message


def _time(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
        return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
    except (ValueError, OverflowError, TypeError):
        return None
