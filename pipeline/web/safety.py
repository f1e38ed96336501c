"""The guard before every route: who may ask, for which host, from which page, and how long a body may take.

A server on loopback is reached by every page that is open in the same browser. So the Host must be one of
ours (a foreign name that resolves to us is not), what changes anything must not come from another site's
page, and every answer says what a browser may do with it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import socket
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.config import WebSettings
from pipeline.web.bodies import SMALL_BODY, Meter, is_upload
from pipeline.web.connections import BUSY, FULL, RETRY_AFTER, is_loopback
from pipeline.web.problems import Problem, answer, wants_json

log = logging.getLogger(__name__)

COOKIE = "pawsort"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = ("/login", "/static/", "/healthz")
"""What is answered without a token: how to give one, and that the server is there."""

HEALTH_PATHS = frozenset({"/healthz", "/metrics", "/api/status"})
"""What this machine may ask even when all connections are taken."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with it browsers send `Origin: null` even with a form of ours.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
}

Entry = Literal["yes", "no"]


class Guard:
    """Let pass what is ours, refuse the rest, and log one line for each request."""

    def __init__(self, app: ASGIApp, web: WebSettings) -> None:
        self._app = app
        self._hosts = Hosts(web)
        self._token = web.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        outlet = _Outlet(send, request)
        refusal = self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, outlet)
        else:
            meter = Meter(receive, None if is_upload(scope["path"]) else SMALL_BODY)
            await self._serve(scope, meter, outlet, request)
        outlet.log()

    async def _serve(self, scope: Scope, receive: Receive, outlet: _Outlet, request: Request) -> None:
        try:
            await self._app(scope, receive, outlet)
        except Exception:
            log.exception("%s %s: a defect of Pawsort; please report it", request.method, scope["path"])
            if not outlet.started:
                words = "Pawsort made a mistake; what it was stands in its log."
                await answer(request, Problem(500, words, "Try again; report it if it stays."))(
                    scope, receive, outlet
                )

    def _refusal(self, request: Request) -> Response | None:
        if not self._has_place(request):
            return answer(request, Problem(503, *BUSY, RETRY_AFTER))
        if not self._hosts.know(request.headers):
            words = "This server is not known by that name."
            how = "Use the address that `pawsort serve` printed, or add the name to `web.hosts`."
            return answer(request, Problem(421, words, how))
        if request.method not in SAFE_METHODS and is_cross_site(request.headers):
            words = "This came from a page of another site, so it was refused."
            return answer(request, Problem(403, words, "Open Pawsort itself and do it there."))
        if self._token and not self._is_open(request) and not is_known(request.headers, self._token):
            return _ask_for_token(request)
        return None

    @staticmethod
    def _has_place(request: Request) -> bool:
        """Tell whether there was a place; this machine may always ask whether the server is well."""
        if not request.scope.get(FULL):
            return True
        local = request.client is not None and is_loopback(request.client.host)
        return local and request.scope["path"] in HEALTH_PATHS

    @staticmethod
    def _is_open(request: Request) -> bool:
        # Not `request.url.path`, which lacks what a URL may not have; routes go by this one.
        path: str = request.scope["path"]
        return path.startswith(OPEN_PATHS)


class Hosts:
    """The names under which the server may be asked for, whatever the port.

    Another name that leads here was made by somebody else (DNS rebinding). An address in numbers is no such
    name, so where others may reach us any is good.
    """

    def __init__(self, web: WebSettings) -> None:
        own = socket.gethostname().lower()
        self._public = web.host not in LOOPBACK
        self._names = {*LOOPBACK, web.host, *map(str.lower, web.hosts)}
        if self._public:
            self._names |= {own, f"{own.partition('.')[0]}.local"}

    def know(self, headers: Headers) -> bool:
        """Tell whether a request is for us; it must name exactly one host."""
        named = headers.getlist("host")
        host = hostname(named[0]) if len(named) == 1 else None
        return host is not None and (host in self._names or (self._public and _is_address(host)))


def hostname(host: str) -> str | None:
    """Return the name in a Host header, in lower case and without port and brackets; None if it is none."""
    try:
        parts = urlsplit(f"//{host}")
        plain = parts.netloc == host and not parts.username and "@" not in host
        return parts.hostname if plain and (parts.port is None or parts.port >= 0) else None
    except ValueError:
        return None


def is_cross_site(headers: Headers) -> bool:
    """Tell whether a page of another site made a browser send this; a program is no browser."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def is_known(headers: Headers, token: str) -> bool:
    """Tell whether a request shows the token, or the cookie that `session` makes of it."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return same(shown.strip(), token)
    return same(_cookie(headers), session(token))


def session(token: str) -> str:
    """Return what the cookie of a visitor who gave the token holds; the token cannot be told from it."""
    return hmac.new(token.encode(), b"pawsort session", hashlib.sha256).hexdigest()


def same(shown: str, secret: str) -> bool:
    """Compare in a time that tells nothing of the secret."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), secret.encode())


def _cookie(headers: Headers) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _ask_for_token(request: Request) -> Response:
    if wants_json(request) or request.method not in SAFE_METHODS:
        how = "Send the header `Authorization: Bearer TOKEN` with `web.token` of the settings."
        return answer(request, Problem(401, "A token is needed.", how, {"WWW-Authenticate": "Bearer"}))
    return RedirectResponse(f"/login?next={quote(request.scope['path'])}", 303)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Outlet:
    """Sends an answer on with our headers, and remembers what became of it."""

    def __init__(self, send: Send, request: Request) -> None:
        self._send = send
        self._request = request
        self._began = time.monotonic()
        self.status = 0

    @property
    def started(self) -> bool:
        return self.status != 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            _add(headers, HEADERS)
            # A page is new each time; static files are asked about again, and sent only if they changed.
            headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
        await self._send(message)

    def log(self) -> None:
        # Never the query, which may hold what is nobody's business.
        level = logging.DEBUG if self._request.method in SAFE_METHODS and self.status < 400 else logging.INFO
        client = self._request.client.host if self._request.client else "-"
        took = 1000 * (time.monotonic() - self._began)
        path = self._request.scope["path"]
        log.log(level, "%s %s %s %d %.0f ms", client, self._request.method, path, self.status, took)


def _add(headers: MutableHeaders, more: Mapping[str, str]) -> None:
    for name, value in more.items():
        headers.setdefault(name, value)
