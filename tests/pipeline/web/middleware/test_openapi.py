"""The OpenAPI holds: what it says is answered, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import hypothesis
import pytest

from db.queries import listing
from pipeline.decision import SHOWN_COLUMNS
from pipeline.settings.config import Settings
from pipeline.settings.sections import WebSettings
from pipeline.web.app import create_app
from pipeline.web.middleware.openapi import Row
from tests.pipeline.web.conftest import TestClient
from tests.support.child_mains import page_classifier_child
from tests.support.installation import Installation
from tests.support.pictures import encode, scene

HOW: dict[str, Any] = {
    "max_examples": 15,  # well-formed requests for each operation, and as many others
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(hypothesis.HealthCheck),
}


def test_a_row_is_described_with_all_its_columns() -> None:
    assert tuple(Row.model_fields) == (*listing.RESULT_COLUMNS, *SHOWN_COLUMNS)


def test_every_error_is_described_as_problem_details(visitor: TestClient) -> None:
    schema = visitor.get("/api/openapi.json").json()
    errors = [
        (path, code, list(response["content"]))
        for path, operations in schema["paths"].items()
        for operation in operations.values()
        for code, response in operation["responses"].items()
        if code >= "400"
    ]
    assert len(errors) > 60
    assert {tuple(kinds) for _, _, kinds in errors} == {("application/problem+json",)}
    assert schema["paths"]["/healthz"]["get"]["security"] == []


@pytest.mark.parametrize(("token", "open"), [(None, True), ("0123456789abcdef", False)])
def test_who_may_ask_is_described(token: str | None, open: bool) -> None:
    app = create_app(Settings(web=WebSettings(token=token)))
    schema = app.openapi()
    assert {"token": []} in schema["security"] and ({} in schema["security"]) is open
    assert set(schema["components"]["securitySchemes"]) == {"token", "session"}


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Each operation as schemathesis reads it, on a server with a few files."""
    if find_spec("schemathesis") is None:
        pytest.skip("schemathesis is not installed")
    import schemathesis

    pawsort = Installation(tmp_path_factory.mktemp("site"))
    for number in range(3):
        pawsort.file(b"%d.jpg" % number, encode(scene(64 + number), "JPEG"))
    web = WebSettings(hosts=("testserver",))
    app = create_app(pawsort.settings.model_copy(update={"web": web}), classifier=page_classifier_child)
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    yield {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}
    app.state.context.classifiers.close()
    app.state.context.thumbnails.close()
    app.state.context.database.close()
    pawsort.close()


LABELS = (
    "GET /api/results", "GET /api/results/{id}", "POST /api/results/{id}/correction",
    "DELETE /api/results/{id}/correction", "GET /api/status", "GET /api/models", "GET /pictures/{id}/{size}",
    "GET /metrics", "GET /healthz", "POST /api/inbox", "POST /api/classify", "GET /api/models/learn",
    "POST /api/corrections", "POST /api/undo", "POST /api/zip", "GET /api/export",
    "GET /api/results/{id}/original", "POST /api/models/learn",
    "POST /api/models/versions/{number}/promote", "POST /api/models/rollback", "GET /api/requests",
    "GET /api/requests/{id}", "DELETE /api/requests/{id}",
)  # fmt: skip


def test_all_operations_are_tried(operations: dict[str, Any]) -> None:
    assert set(operations) == set(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_the_server_answers_as_it_is_described(operations: dict[str, Any], label: str) -> None:
    from schemathesis import GenerationMode, checks

    operation = operations[label]
    # It cannot know which files there are.
    left_out = [checks.CHECKS.get_one("positive_data_acceptance")]
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes_anything(operation) else [])]
    for mode in modes:

        @hypothesis.settings(**HOW)
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            case.call_and_validate(excluded_checks=left_out)

        ask()


def takes_anything(operation: Any) -> bool:
    """Whether a request of it can be wrong."""
    parts = (operation.path_parameters, operation.query, operation.headers, operation.body)
    return any(len(list(part)) for part in parts)
