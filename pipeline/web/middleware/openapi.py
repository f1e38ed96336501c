"""Additions to the OpenAPI document: models of rows and errors, and authentication.

Row, Rows, Changed, Model and InForce are documentation only; tests check the responses of routes against
them.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from pipeline.settings.sections import WebSettings
from pipeline.web.middleware.problems import PROBLEM_JSON
from pipeline.web.views.urls import prefix_of

DOCUMENT = "/api/openapi.json"

Answers = dict[int | str, dict[str, Any]]

# Every request: 400 if its end is ambiguous, 429 after wrong tokens.
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
"""The request body of routes that parse uploads themselves."""


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
    """A row of the view `results`, one file, and the label that the pages show."""

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
    reviewed_by: str | None
    reviewed_at: datetime | None
    removed_at: datetime | None
    brightness: float | None
    companions: list[str] | None
    taken_from: str | None
    action: str
    worker: str | None
    shown: str | None = Field(description="The likeliest of all labels, `neither` included.")
    shown_probability: float | None = Field(description="The probability of `shown`, 0 to 1.")


class Rows(BaseModel):
    """A page of rows, newest first; `next` is `before` for the following page, null after the last."""

    results: list[Row]
    next: int | None


class Changed(BaseModel):
    """The result of a correction; `path` is the current path of the file."""

    kind: str
    file: str
    id: int
    path: str | None
    outcome: str | None
    corrected_to: str | None
    problem: None


class RequestState(BaseModel):
    """A request to the worker of another machine; `problem` says why nothing was changed."""

    id: int
    file_id: int
    worker: str | None = Field(description="The worker that has the file and carries the request out.")
    kind: Literal["correct", "undo", "retry"]
    label: str | None
    by: str
    asked_at: datetime
    done_at: datetime | None = Field(description="When it was carried out or refused; null if it is open.")
    problem: str | None
    trouble: str | None = Field(description="Why the worker does not answer; null if it gives signs of life.")


class ModelVersion(BaseModel):
    """A version of the configured model; 0 is the model as it came. `photos` counts those learnt from."""

    version: int
    name: str
    is_in_force: bool
    since: datetime | None = Field(description="Since when it is in force.")
    by: str | None = Field(description="Who put it in force.")
    learnt_at: datetime | None
    photos: int | None
    is_better: bool | None = Field(description="The verdict of its comparison; null for version 0.")
    reason: str | None
    problem: str | None = Field(description="Why it cannot be used.")
    figures: dict[str, dict[str, float | None]] = Field(description="At the target precision in force.")


class Model(BaseModel):
    """A model for `POST /api/classify`; `versions` are those of the configured model, empty for others."""

    name: str
    labels: list[str]
    is_workers: bool
    versions: list[ModelVersion]


class InForce(BaseModel):
    """The version of the configured model that is in force."""

    version: int
    name: str


class LearningState(BaseModel):
    """The state of a learning; `stage`, `done`, `total` and `seconds_left` are its progress."""

    schema_version: int
    pid: int
    state: Literal["running", "done", "failed", "stopped"]
    started_at: datetime
    at: datetime
    stage: str | None
    done: int
    total: int
    seconds_left: float | None
    version: int | None = Field(description="The version that was learnt.")
    reason: str | None = Field(description="Why it failed or stopped.")


class Answered(BaseModel):
    """The classification of a photo, and what the worker would do with it."""

    path: str = Field(description="The file name in the request.")
    prediction: str | None = Field(description="The most likely label, null if the photo cannot be read.")
    confidence: float | None = Field(description="Its calibrated probability, 0 to 1.")
    outcome: str | None = Field(
        description="The folder that the worker would choose; null for a model without folders."
    )
    reason: str | None = Field(description="Why the outcome is uncertain or failed.")
    scores: dict[str, float] | None = Field(
        description="The probability of each label; of the five likeliest for a model without folders."
    )
    shown: str | None = Field(description="The likeliest of all labels, `neither` included.")
    shown_probability: float | None = Field(description="The probability of `shown`, 0 to 1.")


class Results(BaseModel):
    """Rows of the view `results`, newest first; `next` is `before` for the following page."""

    results: list[dict[str, Any]]
    next: int | None


class Correction(BaseModel):
    """The correct label of a photo."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    label: str = Field(alias="as", description="A label of the model, or `neither`.", max_length=200)
    by: str | None = Field(None, description="Name to record with the correction.", max_length=200)


class Delivered(BaseModel):
    """A photo that is durably in the inbox; `already` if the same Idempotency-Key delivered it before."""

    name: str
    inbox: str
    bytes: int
    sha256: str
    already: bool
    id: int | None


def answers(*errors: int, ok: Any = None, not_modified: bool = False) -> Answers:
    """Return the responses of a route: `ok` is the model of 200, and each error is a Refusal."""
    found: Answers = {status: {"model": Refusal} for status in sorted({*errors})}
    if not_modified:
        found[304] = {"description": "Not modified: `If-None-Match` contains the current ETag."}
    return found | ({200: {"model": ok}} if ok is not None else {})


def describe(app: FastAPI, web: WebSettings) -> None:
    """Make the application serve the extended OpenAPI document."""
    app.openapi = partial(_schema, app, web)  # type: ignore[method-assign]
    app.add_route(DOCUMENT, _document, include_in_schema=False)


def _document(request: Request) -> JSONResponse:
    """Return the document, with the path below which a reverse proxy has the API."""
    prefix = prefix_of(request)
    return JSONResponse({**request.app.openapi(), **({"servers": [{"url": prefix}]} if prefix else {})})


def _schema(app: FastAPI, web: WebSettings) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        made.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "`web.token` of the settings."},
            "session": {"type": "apiKey", "in": "cookie", "name": "pawsort", "description": "From /login."},
        }
        # Without a token in the settings, no authentication is required.
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
    """Remove siblings of references, which FastAPI adds for the wider return type of a route."""
    if isinstance(part, dict):
        if "$ref" in part:
            kept = part["$ref"]
            part.clear()
            part["$ref"] = kept
        for inside in part.values():
            _keep_references_alone(inside)
