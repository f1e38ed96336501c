"""Pages of one machine for the files of two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.db.conftest import postgres, postgres_made  # noqa: F401 - fixtures
from tests.pipeline.requests.conftest import Two, two  # noqa: F401 - a fixture
from tests.pipeline.web.conftest import TestClient, client_of


@pytest.fixture
def pages(two: Two) -> Iterator[TestClient]:  # noqa: F811
    """The pages of ann's machine."""
    with client_of(two.ann) as client:
        yield client
