"""The address by which browsers reach this server: below a path, or through a reverse proxy.

Outermost of all, so that the rest of the program sees the path without the prefix, the client and not the
proxy, and whether its connection is encrypted. Only trusted proxies may say so.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.settings.ranges import is_path_prefix
from pipeline.settings.sections import WebSettings
from pipeline.web.middleware.busy import address_in
from pipeline.web.views.urls import PREFIX

FORWARDED = b"x-forwarded-"
"""How the headers begin by which a proxy describes the original request."""

_ABSOLUTE = re.compile(rb"(?i:https?)://([^/]*)(/.*)?", re.DOTALL)


class PublicAddress:
    """Set path, client and scheme of each request to those that its browser sees.

    Uvicorn's own middleware takes any text for the address of a client, and knows no prefix.
    """

    def __init__(self, app: ASGIApp, web: WebSettings) -> None:
        self._app = app
        self._base_path = web.base_path
        self._proxies = [ipaddress.ip_network(each) for each in web.proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            # In place, because limits of the connection depend on the path.
            scope.update(self._seen(in_origin_form(scope)))
        await self._app(scope, receive, send)

    def _seen(self, scope: Scope) -> Scope:
        """Return a request as its browser sees it."""
        if scope["client"] is None or not self._is_proxy(scope["client"][0]):
            headers = [(name, value) for name, value in scope["headers"] if not name.startswith(FORWARDED)]
            scope = {**scope, "headers": headers}
        said = Headers(scope=scope)
        prefix = scope.get("root_path") or self._base_path or _prefix(said)
        return {
            **without_prefix(scope, prefix),
            PREFIX: prefix,
            "root_path": "",
            "client": self._client(said) or scope["client"],
            "scheme": _scheme(said) or scope["scheme"],
        }

    def _is_proxy(self, address: str) -> bool:
        found = address_in(address)
        return found is not None and any(found in network for network in self._proxies)

    def _client(self, headers: Headers) -> tuple[str, int] | None:
        """Return the client that the outermost trusted proxy saw; what stands before it may be invented."""
        for said in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            found = address_in(_without_port(said.strip()))
            if found is None:
                return None
            if not self._is_proxy(str(found)):
                return str(found), 0
        return None


def in_origin_form(scope: Scope) -> Scope:
    """Return a scope with a path, and the host of the target, if the target is in absolute form.

    Source: RFC 9112, section 3.2.2.
    """
    absolute = _ABSOLUTE.fullmatch(scope["raw_path"])
    if absolute is None:
        return scope
    host, path = absolute[1], absolute[2] or b"/"
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    decoded = unquote(path.decode("latin-1"))
    return {**scope, "path": decoded, "raw_path": path, "headers": [*headers, (b"host", host)]}


def without_prefix(scope: Scope, prefix: str) -> Scope:
    """Return a scope whose path begins after `prefix`; proxies pass paths with it or without it."""
    path: str = scope["path"]
    if not prefix or not f"{path}/".startswith(f"{prefix}/"):
        return scope
    path, raw, encoded = path.removeprefix(prefix) or "/", scope["raw_path"], prefix.encode()
    rest = raw.removeprefix(encoded) or b"/" if raw.startswith(encoded) else quote(path).encode()
    return {**scope, "path": path, "raw_path": rest}


def _prefix(headers: Headers) -> str:
    prefix = headers.get("x-forwarded-prefix", "").removesuffix("/")
    return prefix if is_path_prefix(prefix) else ""


def _scheme(headers: Headers) -> str | None:
    said = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return said if said in ("http", "https") else None


def _without_port(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
