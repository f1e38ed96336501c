"""Every parameter of every route, far out of range."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute

from pipeline.web.app import ROUTERS
from tests.pipeline.web.conftest import HTML, TestClient, client_of, parts
from tests.support.installation import Installation

HOSTILE = (
    "-1", "0", "-0.0", "9223372036854775807", "9223372036854775808", "1" + "0" * 400, "1" + "0" * 5000, "nan",
    "inf", "-inf", "1e400", "0.5", "x", "", "\0", "\ufffd", "\u0661", "true", "0001-01-01", "9999-12-31",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0000-01-01", "1e12", "99999999999",
    "2026-11-21T08:00:00+99:99", "2026-W01-1", "a" * 5000,
)  # fmt: skip
BEYOND = (
    "9223372036854775808",
    "-9223372036854775809",
    "1" + "0" * 400,
    "nan",
    "inf",
    "-1e400",
    "x",
    "",
    "0_1",
)
BEYOND_TIME = (
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0000-01-01", "nan", "1e400", "x",
    "1", "-1", "1.5", "1764374400",
)  # fmt: skip
UPLOADS = ("/api/classify", "/api/inbox", "/try", "/try/heat")
"""These want files, and are tested with them elsewhere."""

LIKELY = {
    "kind": "months",
    "id": "1",
    "size": "small",
    "name": "x",
    "key": "cats_dogs",
    "number": "1",
    "token": "x",
}
FORM = {"seen": "1:0", "label": "cat", "file": "1:0", "reason": "timeout", "done": "1:0", "name": "x"}


@dataclass
class Flat:
    """The parameters of a route and of all that it depends on."""

    path_params: list[Any]
    query_params: list[Any]
    header_params: list[Any]
    body_params: list[Any]

    @classmethod
    def of(cls, dependant: Any) -> Flat:
        each = [dependant, *dependant.dependencies]  # one level is as deep as they go here
        return cls(*([x for one in each for x in getattr(one, field.name)] for field in fields(cls)))


def kinds(annotation: Any) -> set[Any]:
    """All types that an annotation is made of."""
    inside = [kinds(part) for part in get_args(annotation)]
    return set.union({annotation}, *inside) if isinstance(annotation, Hashable) else set.union(set(), *inside)


def routes() -> list[tuple[str, APIRoute]]:
    """Each method and route of ROUTERS."""
    found = [
        (method, route) for module in ROUTERS for route in module.router.routes for method in route.methods
    ]
    return sorted(found, key=lambda pair: (pair[1].path, pair[0]))


def requests(method: str, route: APIRoute, values: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """An address and form for each parameter with each value, the others being likely."""
    flat = Flat.of(route.dependant)
    form = {field.alias: FORM.get(field.alias, "1") for field in flat.body_params}
    for value in values:
        for field in flat.path_params:
            if value not in ("", ".", ".."):
                yield address(route, LIKELY | {field.alias: value}), form
        for field in flat.query_params:
            yield f"{address(route, LIKELY)}?{field.alias}={quote(value, safe='')}", form
        for name in form:
            yield address(route, LIKELY), {**form, name: value}


def address(route: APIRoute, values: dict[str, str]) -> str:
    return route.path.format(**{name: quote(value, safe="") for name, value in values.items()})


def ask(client: TestClient, method: str, url: str, form: dict[str, str]) -> Any:
    body = {"content": json.dumps({"as": "x", **form})} if url.startswith("/api/") else {"data": form}
    some = body if method == "POST" else {}
    return client.request(method, url, headers=HTML, follow_redirects=False, **some)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    pawsort = Installation(tmp_path_factory.mktemp("site"))
    pawsort.file(b"a.jpg")
    with client_of(pawsort) as client:
        yield client
    pawsort.close()


def called(pair: tuple[str, APIRoute]) -> str:
    return f"{pair[0]} {pair[1].path}"


@pytest.mark.parametrize("pair", [each for each in routes() if each[1].path not in UPLOADS], ids=called)
def test_no_value_breaks_a_route(site: TestClient, pair: tuple[str, APIRoute]) -> None:
    for url, form in requests(*pair, HOSTILE):
        status = ask(site, pair[0], url, form).status_code
        assert status < 500, (url[:200], form)


def bounded() -> list[tuple[str, APIRoute, str, str]]:
    """Each parameter that is a number or a time."""
    found = []
    for method, route in routes():
        flat = Flat.of(route.dependant)
        for field in (*flat.path_params, *flat.query_params, *flat.header_params):
            for kind in kinds(field.field_info.annotation) & {int, float, datetime}:
                found.append((method, route, field.alias, kind.__name__))
    return found


def test_the_parameters_are_found() -> None:
    found = {(route.path, name, kind) for _, route, name, kind in bounded()}
    assert found >= {
        ("/api/results", "before", "int"), ("/api/results", "min_confidence", "float"),
        ("/api/results", "since", "datetime"), ("/pictures/{id}/{size}", "id", "int"),
        ("/models/{key}/worst/{number}", "number", "int"), ("/review", "after", "int"),
        ("/check", "after", "int"),
    }  # fmt: skip


@pytest.mark.parametrize(("method", "route", "name", "kind"), bounded(), ids=str)
def test_a_number_or_time_beyond_its_range_is_answered_422(
    site: TestClient, method: str, route: APIRoute, name: str, kind: str
) -> None:
    beyond = {"datetime": BEYOND_TIME, "int": (*BEYOND, "1.0", " 1")}.get(kind, BEYOND)
    for value in beyond:
        in_path = f"{{{name}}}" in route.path
        if in_path and not value:
            continue
        url = address(route, LIKELY | {name: value}) + ("" if in_path else f"?{name}={quote(value, safe='')}")
        answer = ask(site, method, url, FORM)
        assert answer.status_code == 422, (url[:200], answer.status_code)


def test_a_server_in_a_folder_whose_name_is_not_utf8_answers_all_the_same(tmp_path: Path) -> None:
    pawsort = Installation(Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff\\")))
    pawsort.file(b"a.jpg")
    pages = (
        "/",
        "/review",
        "/check",
        "/browse",
        "/files/1",
        "/today",
        "/reports",
        "/api/results",
        "/api/status",
    )
    with client_of(pawsort) as client:
        for path in pages:
            assert client.get(path, headers=HTML).status_code == 200, path
        inbox = client.post("/api/inbox", files=parts(b"x")).json()[0]["inbox"]
        assert inbox.endswith(r"/odd\xff\\/inbox")
        assert client.post("/api/inbox", params={"inbox": inbox}, files=parts(b"y")).status_code == 201
        other = client.post("/api/inbox", params={"inbox": "x"}, files=parts(b"y"))
        assert inbox in other.json()["what_to_do"]
        found = client.get("/browse", params={"inbox": inbox}, headers=HTML).text
        assert "/files/1" in found
    pawsort.close()
