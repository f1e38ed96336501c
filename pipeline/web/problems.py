"""What goes wrong with a request, in words: what it is, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from db.errors import DatabaseError, DatabaseUnavailable
from pipeline.errors import LockError, PawsortError, SettingsError
from pipeline.web.rendering import render

TRY_AGAIN = {"Retry-After": "5"}


class Problem(HTTPException):
    """A request that is refused; becomes `{"error", "what_to_do"}` in the API and a page elsewhere."""

    def __init__(
        self, status: int, error: str, what_to_do: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, error, headers)
        self.what_to_do = what_to_do or _REMEDIES.get(status, "Go back, and try something else.")


_REMEDIES = {
    404: "Look at the address again, or begin at the start page.",
    405: "Use the method that docs/api.md gives for this address.",
    503: "Wait a moment and try again; nothing is lost.",
}


def register(app: FastAPI) -> None:
    """Let every error of a request be answered in one of the two forms."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(DatabaseError, _answer_database)
    app.add_exception_handler(PawsortError, _answer_ours)


def answer(request: Request, problem: Problem) -> Response:
    """Return the response that says what is wrong."""
    if wants_json(request):
        return JSONResponse(as_dict(problem), problem.status_code, problem.headers)
    phrase = HTTPStatus(problem.status_code).phrase
    response = render(request, "problem.html", status=problem.status_code, problem=problem, phrase=phrase)
    response.status_code = problem.status_code
    response.headers.update(problem.headers or {})
    return response


def as_dict(problem: Problem) -> dict[str, Any]:
    """Return what the API says of a problem."""
    return {"error": problem.detail, "what_to_do": problem.what_to_do}


def wants_json(request: Request) -> bool:
    """Tell a program from somebody who looks at a page."""
    return request.scope["path"].startswith(("/api/", "/healthz", "/metrics")) or "text/html" not in (
        request.headers.get("accept", "")
    )


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error, Problem):
        return answer(request, error)
    words = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    said = words.get(error.status_code, str(error.detail))
    return answer(request, Problem(error.status_code, said, headers=dict(error.headers or {})))


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
    return answer(request, Problem(422, wrong, "Mend what is named, and send it again."))


async def _answer_database(request: Request, error: Exception) -> Response:
    passing = isinstance(error, DatabaseUnavailable)
    remedy = "" if passing else "See what the worker says; `pawsort doctor` tells more."
    return answer(request, Problem(503, str(error), remedy, TRY_AGAIN))


async def _answer_ours(request: Request, error: Exception) -> Response:
    if isinstance(error, LockError):
        return answer(request, Problem(409, str(error), "Wait until that is done, and try again."))
    if isinstance(error, SettingsError):
        return answer(request, Problem(422, str(error), "Mend what is named, and send it again."))
    return answer(request, Problem(503, str(error), "Mend that, and try again."))
