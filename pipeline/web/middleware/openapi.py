"""What the API's description says beyond what the routes say themselves: rows, errors, and who may ask.

Row, Rows, Changed and Model only describe: what routes return is checked against them by tests.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from pipeline.config import WebSettings
from pipeline.web.middleware.problems import PROBLEM_JSON

Answers = dict[int | str, dict[str, Any]]

# Of any request: 400 if it is not clear where it ends, 429 after wrong tokens.
ALWAYS = (400, 401, 421, 429, 500, 503)
CHANGING = (*ALWAYS, 403)
UPLOADING = (*CHANGING, 404, 408, 413, 415, 422, 507)


FILES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}}
                    },
                }
            }
        },
    }
}
"""The body of a route that reads its files itself, for the schema."""


class WrongValue(BaseModel):
    """A value of a request that is not accepted; `in` is path, query, header or body."""

    name: str
    detail: str


class Refusal(BaseModel):
    """An error, as in RFC 9457; `error` is the same as `detail`."""

    type: str
    title: str
    status: int
    detail: str
    error: str
    what_to_do: str
    errors: list[WrongValue] = []


class Row(BaseModel):
    """A row of the view `results`: one file."""

    id: int
    name: str
    inbox: str
    source_path: str
    path: str | None
    state: str
    outcome: str | None
    prediction: str | None
    confidence: float | None
    reason: str | None
    scores: dict[str, float] | None
    sha256: str | None
    bytes: int | None
    format: str | None
    width: int | None
    height: int | None
    taken_at: str | None
    model: str | None
    model_sha256: str | None
    duplicate_of: int | None
    corrected_to: str | None
    seen_at: datetime
    decided_at: datetime | None
    filed_at: datetime | None


class Rows(BaseModel):
    """A page of rows, the newest first; `next` is the `before` of the following page, null after the last."""

    results: list[Row]
    next: int | None


class Changed(BaseModel):
    """What became of a file; `path` is where it lies now."""

    kind: str
    file: str
    id: int
    path: str | None
    outcome: str | None
    corrected_to: str | None
    problem: None


class Model(BaseModel):
    """A model that may be named in `POST /api/classify`."""

    name: str
    labels: list[str]
    is_workers: bool


class Answered(BaseModel):
    """What a photo shows and what the worker would do with it."""

    path: str = Field(description="The name that was sent with the photo.")
    prediction: str | None = Field(description="The best label, null if the photo cannot be read.")
    confidence: float | None = Field(description="Its calibrated probability, 0 to 1.")
    outcome: str | None = Field(description="The folder it would go to; null if the model has none.")
    reason: str | None = Field(description="Why it would go to uncertain or failed.")
    scores: dict[str, float] | None = Field(
        description="The probability of each label; of the five likeliest for a model without folders."
    )


class Results(BaseModel):
    """Rows of the view `results`, the newest first; `next` is the `before` of the following page."""

    results: list[dict[str, Any]]
    next: int | None


class Correction(BaseModel):
    """What is really on a photo."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    label: str = Field(alias="as", description="A label of the model, or `neither`.", max_length=200)
    by: str | None = Field(None, description="Who says so.", max_length=200)


class Delivered(BaseModel):
    """A photo that is in the inbox, durably; `already` if the same Idempotency-Key had brought it before."""

    name: str
    inbox: str
    bytes: int
    sha256: str
    already: bool
    id: int | None


def answers(*errors: int, ok: Any = None, not_modified: bool = False) -> Answers:
    """Return what a route may answer: `ok` is the model of 200, and each error is a Refusal."""
    found: Answers = {status: {"model": Refusal} for status in sorted({*errors})}
    if not_modified:
        found[304] = {"description": "The client has it already: `If-None-Match` names its ETag."}
    return found | ({200: {"model": ok}} if ok is not None else {})


def describe(app: FastAPI, web: WebSettings) -> None:
    """Let the application's OpenAPI say all of this."""
    app.openapi = partial(_schema, app, web)  # type: ignore[method-assign]


def _schema(app: FastAPI, web: WebSettings) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        made.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "`web.token` of the settings."},
            "session": {"type": "apiKey", "in": "cookie", "name": "pawsort", "description": "From /login."},
        }
        # Without a token in the settings, everyone who reaches the server may ask.
        made["security"] = [{"token": []}, {"session": []}, *([] if web.token else [{}])]
        for operations in made["paths"].values():
            for operation in operations.values():
                _finish(operation)
        health = made["paths"].get("/healthz", {}).get("get", {})
        health["security"] = []
        app.openapi_schema = made
    return app.openapi_schema


def _finish(operation: dict[str, Any]) -> None:
    for code, response in operation["responses"].items():
        if code == "304":
            response.pop("content", None)
        elif int(code) >= 400:
            response["content"] = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Refusal"}}}
            response["description"] = HTTPStatus(int(code)).phrase
        _keep_references_alone(response)


def _keep_references_alone(part: Any) -> None:
    """Drop what FastAPI left beside a reference: of the type that a route returns, which is wider."""
    if isinstance(part, dict):
        if "$ref" in part:
            kept = part["$ref"]
            part.clear()
            part["$ref"] = kept
        for inside in part.values():
            _keep_references_alone(inside)
