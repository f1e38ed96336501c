"""The methods that a path accepts, for OPTIONS and 405, and redirects of paths with a trailing slash."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount
from starlette.types import Scope

from pipeline.web.views.urls import url_of

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def allowed(request: Request) -> tuple[str, ...]:
    """Return the methods that the path of a request accepts; none if no route matches."""
    found = [method for method in _METHODS if _matches({**request.scope, "method": method}, request)]
    return (*found, *(["HEAD"] if "GET" in found else []), *(["OPTIONS"] if found else []))


def options(request: Request) -> Response | None:
    """Return the response to OPTIONS; None for another method or if no route matches."""
    methods = allowed(request) if request.method == "OPTIONS" else ()
    return Response(status_code=204, headers={"Allow": ", ".join(methods)}) if methods else None


def without_slash(request: Request) -> Response | None:
    """Return a redirect to the path without its trailing slash, if a route matches; relative to this host."""
    path: str = request.scope["path"]
    shorter = path.rstrip("/")
    if shorter == path or not shorter or path.startswith("//"):
        return None
    if not _matches({**request.scope, "path": shorter}, request):
        return None
    query: str = request.scope["query_string"].decode("latin-1")
    return RedirectResponse(url_of(request, quote(shorter) + (f"?{query}" if query else "")), 307)


def _matches(scope: Scope, request: Request) -> bool:
    # A mounted application has set its own root path here.
    scope = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}
    for route in request.app.routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return not isinstance(route, Mount) or scope["method"] == "GET"
    return False
