"""A server over a small real database, asked in this process."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from pipeline.config import Settings, WebSettings
from pipeline.web.app import create_app
from tests.support.child_mains import page_classifier_child
from tests.support.house import House
from tests.support.pictures import encode, scene

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would like another HTTP library, which does the same
    from starlette.testclient import TestClient

HTML = {"Accept": "text/html"}
"""What a browser sends, so that it gets pages."""

ADDRESS = "http://127.0.0.1:8420"


def client_of(house: House, **web: object) -> TestClient:
    """A client of the pages of `house`, with these settings of `web`; use it as a context manager."""
    settings = house.settings.model_copy(update={"web": WebSettings.model_validate(web)})
    return TestClient(
        create_app(settings, classifier=page_classifier_child),
        base_url=ADDRESS,
        raise_server_exceptions=False,
    )


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    """Pages of an empty house; `house.file(...)` puts files into it."""
    with client_of(house) as client:
        yield client


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Pages where no worker has been yet, for tests that change nothing."""
    settings = Settings(base=tmp_path_factory.mktemp("unused"))
    with TestClient(
        create_app(settings, classifier=page_classifier_child),
        base_url=ADDRESS,
        raise_server_exceptions=False,
    ) as client:
        yield client


def photo(marker: str = "cat", seed: int = 0) -> bytes:
    """A small picture of which `page_classifier_child` says what the marker says."""
    return encode(scene(64 + seed, 48), "PNG") + f"<{marker}>".encode()


def parts(*files: bytes, name: str = "a.png", field: str = "file") -> list[tuple[str, tuple[str, bytes]]]:
    """Files as `TestClient` wants them."""
    return [(field, (name, data)) for data in files]
