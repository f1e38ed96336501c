from __future__ import annotations

import io
import os
from pathlib import Path

import httpx
import pytest
from PIL import Image

from pipeline.settings.sections import LimitSettings
from pipeline.thumbnails.content import below, photo_folders
from pipeline.thumbnails.draw_thumbnail import Thumbnail, ThumbnailRequest, draw
from tests.pipeline.web.conftest import TestClient
from tests.support.dng_files import dng
from tests.support.icc_profiles import DISPLAY_P3
from tests.support.installation import Installation
from tests.support.pictures import encode, exif, png_bomb, scene

LIMITS = LimitSettings(megapixels=1)


def drawn(root: Path, name: bytes, longest: int = 80) -> Thumbnail:
    return draw(ThumbnailRequest(7, root, name, longest), LIMITS)


def test_a_photo_of_the_ledger_is_shown_small_and_large_and_without_what_else_was_in_it(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg", encode(scene(800, 600), "JPEG", exif=exif(taken="2026:11:21 08:00:00")))
    small = client.get(f"/pictures/{id}/small")
    assert small.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(small.content)) as image:
        assert (image.size, dict(image.getexif())) == ((320, 240), {})
    os.unlink(os.path.join(pawsort.raw_sorted, b"cats/a.jpg"))
    assert client.get(f"/pictures/{id}/small").content == small.content, "it was drawn once"
    gone = client.get(f"/pictures/{id}/large")
    assert (gone.status_code, gone.json()["error"]) == (
        404,
        "This file cannot be shown: the file is missing.",
    )
    assert client.get(f"/pictures/{id}/huge").status_code == 422
    assert client.get("/pictures/99/small").status_code == 404


def _colour(response: httpx.Response) -> int:
    """Return how red the first pixel of a picture is."""
    with Image.open(io.BytesIO(response.content)) as image:
        return int(image.convert("RGB").getpixel((0, 0))[0])  # type: ignore[index]


def _begin_anew(pawsort: Installation) -> None:
    """Delete the database while the pages run, and make an empty one, whose ids begin at 1 again."""
    pawsort.close()
    for name in ("pawsort.db", "pawsort.db-wal", "pawsort.db-shm"):
        (pawsort.settings.state / name).unlink(missing_ok=True)


def test_a_picture_is_of_the_photo_that_has_its_id_now(client: TestClient, pawsort: Installation) -> None:
    red, black = (encode(Image.new("RGB", (80, 60), colour), "PNG") for colour in ("red", "black"))
    path = f"/pictures/{pawsort.file(b'red.png', red, 'uncertain')}/small"
    before = client.get(path)
    _begin_anew(pawsort)
    anew = Installation(pawsort.folder)
    assert path == f"/pictures/{anew.file(b'black.png', black, 'uncertain')}/small"
    anew.close()
    now = client.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert (now.status_code, _colour(before), _colour(now)) == (200, 254, 0)


def test_a_browser_asks_each_time_whether_its_picture_is_current_and_nothing_is_drawn_for_that(
    client: TestClient, pawsort: Installation
) -> None:
    id = pawsort.file(b"a.jpg", encode(scene(), "JPEG"))
    first = client.get(f"/pictures/{id}/small")
    assert first.headers["cache-control"] == "private, no-cache"
    os.unlink(os.path.join(pawsort.raw_sorted, b"cats/a.jpg"))
    for size, status in (("small", 304), ("large", 404)):
        again = client.get(f"/pictures/{id}/{size}", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == status


def test_what_failed_is_given_to_no_decoder_again(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"a.jpg", encode(scene(), "JPEG"), outcome="failed")
    assert client.get(f"/pictures/{id}/small").status_code == 404


def test_words_say_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert drawn(tmp_path, b"gone.jpg").problem == "the file is missing"
    assert drawn(tmp_path, b"folder").problem == "unreadable"


def test_a_file_of_any_name_is_shown(client: TestClient, pawsort: Installation) -> None:
    id = pawsort.file(b"back\\slash \xff\n.jpg", encode(scene(), "JPEG"))
    assert client.get(f"/pictures/{id}/small").status_code == 200


def test_a_thumbnail_shows_the_preview_of_a_raw_photo_and_colours_as_they_look(tmp_path: Path) -> None:
    wide = Image.new("RGB", (160, 120), (200, 50, 50))
    (tmp_path / "a.dng").write_bytes(dng(scene(), wide))
    (tmp_path / "b.png").write_bytes(encode(wide, "PNG", icc_profile=DISPLAY_P3))
    for name, colour in ((b"a.dng", (200, 50, 50)), (b"b.png", (218, 24, 40))):
        with Image.open(io.BytesIO(drawn(tmp_path, name).jpeg or b"")) as thumbnail:
            assert thumbnail.size == (80, 60)
            shown = thumbnail.getpixel((40, 30))
        assert isinstance(shown, tuple) and max(abs(a - b) for a, b in zip(shown, colour, strict=True)) < 4


@pytest.mark.fault(106)
def test_a_link_in_the_place_of_a_photo_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(encode(scene(), "PNG"))
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.jpg").symlink_to(tmp_path / "secret.png")
    (tmp_path / "dogs").symlink_to(tmp_path)
    assert drawn(tmp_path / "cats", b"a.jpg").jpeg is None
    assert drawn(tmp_path, b"dogs/secret.png").jpeg is None
    assert drawn(tmp_path / "cats", b"../secret.png").jpeg is not None, "so `below` must not let it pass"


@pytest.mark.fault(106)
@pytest.mark.parametrize("path", ["../x.jpg", "sorted/../../x.jpg", "/etc/passwd", "sorted"])
def test_a_path_outside_our_folders_is_not_shown(pawsort: Installation, path: str) -> None:
    there = os.path.abspath(os.path.join(pawsort.settings.base, path))
    assert below(photo_folders(pawsort.settings), os.fsencode(there)) is None


@pytest.mark.fault(110)
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"<html><script>alert(1)</script>", "not_an_image"),
        (png_bomb(2000, 2000), "too_many_pixels"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_not_a_photo_is_not_shown(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "a").write_bytes(data)
    answer = drawn(tmp_path, b"a")
    assert answer.jpeg is None
    assert answer.problem in (problem, "unsupported")
