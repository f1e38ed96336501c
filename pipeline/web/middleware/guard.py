"""Security checks before every route: connections, Host, origin, token, size and duration of the body.

Every page in the visitor's browser can reach a server on loopback. So the Host header must be a known name
(which stops DNS rebinding), requests that change data must not come from another site, and every response has
headers that restrict what a browser may do with it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.settings.ranges import canonical_host, is_address, is_loopback_host
from pipeline.settings.sections import WebSettings
from pipeline.web.middleware import token_attempts
from pipeline.web.middleware.body_limits import SMALL_BODY, BodyLimiter, is_foreign_form, is_upload
from pipeline.web.middleware.busy import ALL_TAKEN, BUSY, RETRY_AFTER, is_loopback
from pipeline.web.middleware.cookies import without_foreign
from pipeline.web.middleware.problems import Problem, answer, wants_json
from pipeline.web.middleware.redirects import own_path, see_other
from pipeline.web.middleware.request_log import Lines, address_of, named
from pipeline.web.middleware.sessions import Sessions
from pipeline.web.middleware.token_attempts import Attempts

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/login", "/logout", "/healthz"})
"""Paths that need no token, besides static files: signing in and out, and the health check."""

HEALTH_PATHS = frozenset({"/healthz", "/metrics", "/api/status"})
"""Paths that this machine may request while all connections are taken."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with it browsers send `Origin: null` even with forms of this server.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
}


class SecurityMiddleware:
    """Check each request, pass it on or refuse it, add security headers, and log it."""

    def __init__(self, app: ASGIApp, web: WebSettings, sessions: Sessions, attempts: Attempts) -> None:
        self._app = app
        self._sessions = sessions
        self._attempts = attempts
        self._lines = Lines()
        self._hosts = Hosts(web)
        self._token = web.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        response_sender = _LoggedResponse(send, request, self._lines)
        refusal = self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, response_sender)
        else:
            limiter = BodyLimiter(receive, None if is_upload(scope["path"]) else SMALL_BODY)
            await self._serve(scope, limiter, response_sender, request)
        response_sender.log()

    async def _serve(
        self, scope: Scope, receive: Receive, response_sender: _LoggedResponse, request: Request
    ) -> None:
        try:
            own = {**scope, "headers": without_foreign(scope["headers"])}
            await self._app(own, receive, response_sender)
        except Exception:
            log.exception("%s: unexpected error, a defect of Pawsort; please report it", named(request))
            if not response_sender.started:
                words = "Unexpected error; the log of the server has details."
                await answer(request, Problem(500, words, "Try again; report it if it persists."))(
                    scope, receive, response_sender
                )

    def _refusal(self, request: Request) -> Response | None:
        if not self._has_connection(request):
            return answer(request, Problem(503, *BUSY, RETRY_AFTER))
        if problem := self._problem(request):
            return answer(request, problem)
        try:
            known = not self._token or self._is_open(request) or self._is_known(request)
        except Problem as too_many:
            return answer(request, too_many)
        return None if known else _ask_for_token(request)

    def _problem(self, request: Request) -> Problem | None:
        """Return why the head of a request is refused; None if it is accepted."""
        if is_ambiguous(request.scope, request.headers):
            words = "The end of this request is ambiguous."
            how = "Send either Content-Length or Transfer-Encoding, the latter with HTTP/1.1."
            return Problem(400, words, how, {"Connection": "close"})
        if not self._hosts.know(request.headers):
            words = "This server does not accept that host name."
            how = "Use the address that `pawsort serve` printed, or add the name to `web.hosts`."
            return Problem(421, words, how)
        if request.method not in SAFE_METHODS and is_cross_site(request.headers, self._hosts.knows):
            words = "This came from a page of another context, so it was refused."
            how = "Open Pawsort and do it there; a reverse proxy must pass the header Host on."
            return Problem(403, words, how)
        if is_foreign_form(request.scope["path"], request.headers.get("content-type")):
            return Problem(415, "This address takes no files.", "Send application/x-www-form-urlencoded.")
        return None

    def _is_known(self, request: Request) -> bool:
        """Return whether a request has the token or a valid session cookie. Raises Problem 429."""
        if shown := bearer(request.headers):
            return self._attempts.is_right(address_of(request), shown)
        return any(map(self._sessions.is_valid, self._sessions.sent(request.headers)))

    @staticmethod
    def _has_connection(request: Request) -> bool:
        """Return whether a connection was free; health checks of this machine need none."""
        if not request.scope.get(ALL_TAKEN):
            return True
        local = request.client is not None and is_loopback(request.client.host)
        return local and request.scope["path"] in HEALTH_PATHS

    @staticmethod
    def _is_open(request: Request) -> bool:
        # Not `request.url.path`, which drops characters that a URL may not have; routing uses this one.
        path: str = request.scope["path"]
        return path in OPEN_PATHS or path.startswith("/static/")


class Hosts:
    """The host names that the server accepts, with any port.

    Another name that resolves to this server may be an attack (DNS rebinding). An IP address cannot be one,
    so a server that is reachable from the network accepts every IP address.
    """

    def __init__(self, web: WebSettings) -> None:
        own = canonical_host(socket.gethostname())
        self._public = not is_loopback_host(web.host)
        self._names = {*LOOPBACK, *map(canonical_host, (web.host, *web.hosts))}
        if self._public:
            self._names |= {own, f"{own.partition('.')[0]}.local"}

    def know(self, headers: Headers) -> bool:
        """Return whether a request names exactly one host, and that host is known."""
        named = headers.getlist("host")
        return len(named) == 1 and self.knows(hostname(named[0]) or "")

    def knows(self, name: str) -> bool:
        """Return whether a host name is one of this server."""
        return canonical_host(name) in self._names or (self._public and is_address(name))


def hostname(host: str) -> str | None:
    """Return the host name of a Host header in lower case, without port and brackets; None if invalid."""
    try:
        parts = urlsplit(f"//{host}")
        plain = parts.netloc == host and not parts.username and "@" not in host
        return parts.hostname if plain and (parts.port is None or parts.port >= 0) else None
    except ValueError:
        return None


def is_cross_site(headers: Headers, knows: Callable[[str], bool] = lambda _: False) -> bool:
    """Return whether a browser sent this for a page of another site; programs send no such headers.

    `knows` says whether a name is one of this server.
    """
    if not set(headers.getlist("sec-fetch-site")) <= {"same-origin", "none"}:
        return True
    origins = headers.getlist("origin")
    return len(origins) > 1 or not all(_is_own(each, headers, knows) for each in origins)


def _is_own(origin: str, headers: Headers, knows: Callable[[str], bool]) -> bool:
    """Return whether an origin is this server, of which a reverse proxy may pass a part of the name only."""
    site, scheme = _site_of(origin), origin.partition(":")[0]
    if site is None:
        return False
    passed = [each for each in headers.getlist("x-forwarded-host") if knows(hostname(each) or "")]
    if site in (_site_of(f"{scheme}://{host}") for host in (headers.get("host", ""), *passed)):
        return True
    # Which port browsers use is not in nginx's `Host $host`, but only they can send this header.
    return headers.getlist("sec-fetch-site") == ["same-origin"] and knows(site[0])


def _site_of(origin: str) -> tuple[str, int | None] | None:
    """Return host name and port of an origin; None if it has no host name."""
    try:
        parts = urlsplit(origin)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return (parts.hostname, port) if parts.hostname else None
    except ValueError:
        return None


def is_ambiguous(scope: Scope, headers: Headers) -> bool:
    """Return whether a proxy could split these bytes into other requests (request smuggling)."""
    if "transfer-encoding" not in headers:
        return False
    return "content-length" in headers or scope.get("http_version") == "1.0"


def bearer(headers: Headers) -> str | None:
    """Return the token in the Authorization header, in UTF-8 or Latin-1; None without one."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    shown = shown.strip()
    try:
        return shown.encode("latin-1").decode()  # Starlette has decoded the header as Latin-1
    except UnicodeDecodeError:
        return shown


def _ask_for_token(request: Request) -> Response:
    if wants_json(request) or request.method not in SAFE_METHODS:
        how = (
            "Sign in again; a program sends the header `Authorization: Bearer TOKEN` with "
            "`web.token` of the settings."
        )
        return answer(request, Problem(401, "A token is needed.", how, {"WWW-Authenticate": "Bearer"}))
    asked: str = request.scope["raw_path"].decode("latin-1")
    if query := request.scope["query_string"].decode("latin-1"):
        asked += f"?{query}"
    return see_other(request, f"/login?next={quote(own_path(asked))}")


class _LoggedResponse:
    """Sends a response with the security headers, and logs its status."""

    def __init__(self, send: Send, request: Request, lines: Lines) -> None:
        self._send = send
        self._lines = lines
        self._request = request
        self._began = time.monotonic()
        self.status = 0

    @property
    def started(self) -> bool:
        return self.status != 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status == 429:  # otherwise one client could guess as fast as the server answers
                await asyncio.sleep(token_attempts.HOLD_SECONDS)
            headers = MutableHeaders(scope=message)
            _add(headers, HEADERS)
            # Pages are not stored; files with an ETag are revalidated.
            headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
        await self._send(message)

    def log(self) -> None:
        is_open = self.status >= 400 or self._request.scope["path"] in OPEN_PATHS
        if is_open and not self._lines.may_write():
            return
        level = logging.DEBUG if self._request.method in SAFE_METHODS and self.status < 400 else logging.INFO
        took = 1000 * (time.monotonic() - self._began)
        client = address_of(self._request)
        log.log(level, "%s %s %d %.0f ms", client, named(self._request), self.status, took)


def _add(headers: MutableHeaders, more: Mapping[str, str]) -> None:
    for name, value in more.items():
        headers.setdefault(name, value)
