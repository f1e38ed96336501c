"""A server over a small real database, asked in this process."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from models.bundle import bundle as bundles
from models.bundle.bundle import Bundle
from pipeline.settings.config import Settings
from pipeline.settings.sections import WebSettings
from pipeline.web.app import create_app
from pipeline.web.served_models.model_registry import SHIPPED
from pipeline.web.services import recent_answers
from tests.support.child_mains import page_classifier_child
from tests.support.installation import Installation
from tests.support.pictures import encode, scene

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would like another HTTP library, which does the same
    from starlette.testclient import TestClient

HTML = {"Accept": "text/html"}
"""What a browser sends, so that it gets pages."""

ADDRESS = "http://127.0.0.1:8420"


shipped_bundle = functools.cache(bundles.load)


@pytest.fixture(autouse=True)
def shipped_bundles_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the bundles of the checkout once for all tests: each application would take 0.2 s for them."""
    load = bundles.load

    def loaded(path: Path) -> Bundle:
        return shipped_bundle(path) if path.parent == SHIPPED else load(path)

    monkeypatch.setattr(bundles, "load", loaded)


@functools.cache
def analysed_routes() -> list[BaseRoute]:
    """Return the routes of an application: FastAPI analyses them at its first request, which takes 0.1 s."""
    return create_app(Settings(base=Path("/nowhere"))).router.routes


def made_app(settings: Settings) -> FastAPI:
    """Return an application whose routes are analysed once for all tests."""
    app = create_app(settings, classifier=page_classifier_child)
    app.router.routes = analysed_routes()
    return app


def client_of(pawsort: Installation, **web: object) -> TestClient:
    """A client of the pages of `pawsort`, with these settings of `web`; use it as a context manager."""
    settings = pawsort.settings.model_copy(update={"web": WebSettings.model_validate(web)})
    return TestClient(made_app(settings), base_url=ADDRESS, raise_server_exceptions=False)


@pytest.fixture
def client(pawsort: Installation) -> Iterator[TestClient]:
    """Pages of an empty installation; `pawsort.file(...)` puts files into it."""
    with client_of(pawsort) as client:
        yield client


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Pages where no worker has been yet, for tests that change nothing."""
    settings = Settings(base=tmp_path_factory.mktemp("unused"))
    with TestClient(made_app(settings), base_url=ADDRESS, raise_server_exceptions=False) as client:
        yield client


def session_of(client: TestClient) -> str:
    """Return the session cookie that a client has."""
    return client.cookies[client.app.state.context.sessions.cookie]  # type: ignore[attr-defined,no-any-return]


def answers_of(client: TestClient) -> str | None:
    """Return the cookie of recent answers that a client has."""
    return client.cookies.get(recent_answers.names(client.app.state.context)[0])  # type: ignore[attr-defined]


def photo(marker: str = "cat", seed: int = 0) -> bytes:
    """A small picture of which `page_classifier_child` says what the marker says."""
    return encode(scene(64 + seed, 48), "PNG") + f"<{marker}>".encode()


def parts(*files: bytes, name: str = "a.png", field: str = "file") -> list[tuple[str, tuple[str, bytes]]]:
    """Files as `TestClient` wants them."""
    return [(field, (name, data)) for data in files]
