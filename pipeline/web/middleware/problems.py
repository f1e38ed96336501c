"""Errors of requests: what is wrong and what to do, as JSON (RFC 9457) or as a page."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from db.connection.errors import DatabaseError, DatabaseUnavailable
from models.errors import in_words
from pipeline.errors import LockError, PawsortError, SettingsError
from pipeline.web.middleware import methods
from pipeline.web.middleware.request_log import named
from pipeline.web.views.rendering import render

log = logging.getLogger(__name__)

TRY_AGAIN = {"Retry-After": "5"}
PROBLEM_JSON = "application/problem+json"


class Problem(HTTPException):
    """An error response: `application/problem+json` for programs, a page for browsers."""

    def __init__(
        self,
        status: int,
        error: str,
        what_to_do: str = "",
        headers: dict[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(status, error, headers)
        self.errors = list(errors)
        self.what_to_do = what_to_do or _REMEDIES.get(status, "Go back and try again.")


_REMEDIES = {
    404: "Check the address, or go to the start page.",
    405: "Use a method that docs/api.md lists for this address.",
    503: "Wait a moment and try again; no data is lost.",
}


def register(app: FastAPI) -> None:
    """Register the handlers that answer every error in one of the two forms."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(DatabaseError, _answer_database)
    app.add_exception_handler(PawsortError, _answer_pawsort)
    app.add_exception_handler(OSError, _answer_system)


def answer(request: Request, problem: Problem) -> Response:
    """Return the response for a problem."""
    if wants_json(request):
        return ProblemResponse(as_dict(problem), problem.status_code, problem.headers)
    phrase = HTTPStatus(problem.status_code).phrase
    response = render(request, "problem.html", status=problem.status_code, problem=problem, phrase=phrase)
    response.status_code = problem.status_code
    response.headers.update(problem.headers or {})
    return response


def as_dict(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON: the members of RFC 9457, `error` and `what_to_do`."""
    said = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
        "error": problem.detail,
        "what_to_do": problem.what_to_do,
    }
    return said | ({"errors": problem.errors} if problem.errors else {})


class EscapedResponse(JSONResponse):
    """JSON that may have names of files and folders which are not UTF-8."""

    def render(self, content: Any) -> bytes:
        """Return the JSON, with surrogates (file names that are not UTF-8) escaped."""
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")


class ProblemResponse(EscapedResponse):
    """An error as JSON."""

    media_type = PROBLEM_JSON


def wants_json(request: Request) -> bool:
    """Return whether a request comes from a program rather than a browser."""
    path: str = request.scope["path"]
    return path == "/api" or path.startswith(("/api/", "/healthz", "/metrics")) or not _accepts_html(request)


def _accepts_html(request: Request) -> bool:
    kinds = [part.split(";") for part in ",".join(request.headers.getlist("accept")).split(",")]
    return any(
        kind[0].strip().lower() == "text/html" and not any(_is_zero(parameter) for parameter in kind[1:])
        for kind in kinds
    )


def _is_zero(parameter: str) -> bool:
    name, _, value = parameter.strip().lower().partition("=")
    return name.strip() == "q" and re.fullmatch(r"0(\.0*)?", value.strip()) is not None


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Problem):
        return answer(request, error)
    instead = _alternative(request, error.status_code)
    if instead is not None:
        return instead
    words = {404: "This address does not exist.", 405: "This address does not accept this method."}
    said = words.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(methods.allowed(request))
    return answer(request, Problem(error.status_code, said, headers=headers))


def _alternative(request: Request, status: int) -> Response | None:
    """Return the response to OPTIONS, or the redirect of a path with a trailing slash; None for an error."""
    if status == 404:
        return methods.without_slash(request)
    return methods.options(request) if status == 405 else None


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_invalid(each) for each in error.errors()]
    wrong = "; ".join(f"{each['name']}: {each['detail']}" for each in found)
    return answer(
        request, Problem(422, wrong, "Correct these values and send the request again.", errors=found)
    )


def _invalid(error: Mapping[str, Any]) -> dict[str, str]:
    """Return which value is invalid, where it was sent (path, query, header, body), and why."""
    where, *names = map(str, error["loc"])
    return {"in": where, "name": ".".join(names) or where, "detail": str(error["msg"])}


async def _answer_database(request: Request, error: Exception) -> Response:
    passing = isinstance(error, DatabaseUnavailable)
    remedy = "" if passing else "See the log of the worker, or run `pawsort doctor`."
    return answer(request, Problem(503, str(error), remedy, TRY_AGAIN))


async def _answer_system(request: Request, error: Exception) -> Response:
    """Name the file or folder that the system refuses, such as one without permission or on a broken disk."""
    log.error("%s: %s", named(request), in_words(error))
    how = "Check its disk, and that the user of this server may read and write it."
    return answer(request, Problem(503, f"{in_words(error)}.", how, TRY_AGAIN))


async def _answer_pawsort(request: Request, error: Exception) -> Response:
    if isinstance(error, LockError):
        return answer(request, Problem(409, str(error), "Wait until it is done, and try again."))
    if isinstance(error, SettingsError):
        return answer(request, Problem(422, str(error), "Correct this and send the request again."))
    return answer(request, Problem(503, str(error), "Correct this and try again."))
