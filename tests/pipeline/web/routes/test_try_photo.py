"""Try: a photo that is answered can also be looked into, whatever its size."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from pipeline.settings.config import Settings
from pipeline.settings.sections import LimitSettings
from pipeline.web.app import ROUTERS
from pipeline.web.middleware.body_limits import SMALL_BODY, is_upload
from pipeline.web.services import classify_uploads
from tests.pipeline.web.conftest import ADDRESS, TestClient, client_of, made_app, photo
from tests.support.installation import Installation


def large(size: int) -> bytes:
    """A picture that `page_classifier_child` takes for a cat, of `size` bytes."""
    data = photo("cat")
    return data + bytes(size - len(data))


@pytest.mark.parametrize("size", [SMALL_BODY + 1, 5_000_000])
def test_a_heat_map_is_drawn_of_each_photo_that_is_answered(visitor: TestClient, size: int) -> None:
    file = ("IMG_0001.jpg", large(size))
    model = {"model": "cats_dogs"}
    assert visitor.post("/try", data=model, files={"file": file}).status_code == 200
    seen = visitor.post("/try/heat", data={**model, "label": "cat"}, files={"file": file})
    assert seen.status_code == 200 and 'class="heat"' in seen.text


def test_a_heat_map_and_an_answer_end_at_the_same_size(pawsort: Installation) -> None:
    limits = LimitSettings(file_mb=1)
    pawsort.settings = pawsort.settings.model_copy(update={"limits": limits})
    with client_of(pawsort) as client:
        for size, status in ((limits.file_bytes, 200), (limits.file_bytes + 1, 413)):
            for path in ("/try", "/try/heat"):
                sent = client.post(path, data={"label": "cat"}, files={"file": ("a.png", large(size))})
                assert sent.status_code == status, (path, size)


def test_every_route_that_takes_files_may_take_large_ones() -> None:
    routes = [route for module in ROUTERS for route in module.router.routes if isinstance(route, APIRoute)]
    taking = {route.path for route in routes if "received(" in inspect.getsource(route.endpoint)}
    assert {"/try", "/try/heat", "/api/classify", "/api/inbox"} <= taking
    assert [path for path in sorted(taking) if not is_upload(path)] == []


def test_without_state_whose_disk_may_not_be_mounted_no_folder_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    classify_uploads._made.cache_clear()
    settings = Settings(base=tmp_path / "mount")
    with TestClient(made_app(settings), base_url=ADDRESS) as client:
        for path in ("/try", "/api/classify"):
            sent = client.post(path, files={"file": ("a.png", photo("cat"))})
            assert sent.status_code == 200, path
    assert not settings.state.exists()
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]
