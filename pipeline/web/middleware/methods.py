"""Which methods an address takes, for OPTIONS and for 405; and the address without its last slash."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount
from starlette.types import Scope

_ASKED = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed(request: Request) -> tuple[str, ...]:
    """Name the methods that the address of a request takes; none where there is nothing."""
    found = [method for method in _ASKED if _takes({**request.scope, "method": method}, request)]
    return (*found, *(["HEAD"] if "GET" in found else []), *(["OPTIONS"] if found else []))


def options(request: Request) -> Response | None:
    """Answer OPTIONS; None if the request is another, or there is nothing at its address."""
    methods = allowed(request) if request.method == "OPTIONS" else ()
    return Response(status_code=204, headers={"Allow": ", ".join(methods)}) if methods else None


def without_slash(request: Request) -> Response | None:
    """Send to the address without its last slash, if there is something; by a path, so to this server."""
    path: str = request.scope["path"]
    shorter = path.rstrip("/")
    if shorter == path or not shorter or path.startswith("//"):
        return None
    if not _takes({**request.scope, "path": shorter}, request):
        return None
    query: str = request.scope["query_string"].decode("latin-1")
    return RedirectResponse(quote(shorter) + (f"?{query}" if query else ""), 307)


def _takes(scope: Scope, request: Request) -> bool:
    # A mounted application has left its own root here.
    scope = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}
    for route in request.app.routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return not isinstance(route, Mount) or scope["method"] == "GET"
    return False
