"""A picture is made smaller in bands, by the quick resizer or by Pillow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.images import decode as images
from models.images import resize
from models.images.decode import decode
from tests.corpus.case import FINE, Case
from tests.corpus.judge import judge
from tests.models.images.conftest import SIZE
from tests.support.pictures import encode, noise, png_bomb


def test_a_large_picture_is_shrunk_in_bands_as_if_it_were_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(701, 1503).convert("RGBA"), "PNG")
    whole = decode(data, SIZE)
    monkeypatch.setattr(resize, "BAND_PIXELS", 10_000)
    assert (decode(data, SIZE) == whole).all()


@pytest.mark.parametrize("size", [(701, 503), (3, 900), (40, 30), (2000, 64)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_where_only_pillow_can_resize_a_picture_looks_the_same(
    mode: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if resize.Resizer is None:
        pytest.skip("for this processor there is no other than Pillow")
    data = encode(noise(*size).convert(mode), "PNG")
    quick = decode(data, SIZE).astype(int)
    monkeypatch.setattr(resize, "Resizer", None)
    assert np.abs(quick - decode(data, SIZE)).max() <= 1


@pytest.mark.parametrize(
    "area", [(0, 0, 60, 40), (6.5, 0, 60, 39.25), (1 / 3, 2 / 3, 59.9, 40), (59, 39, 60, 40)]
)
def test_a_part_of_a_picture_looks_the_same_with_pillow_alone(
    area: tuple[float, float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = noise(60, 40)
    quick = np.asarray(resize.resized(picture, (24, 24), area)).astype(int)
    monkeypatch.setattr(resize, "Resizer", None)
    assert np.abs(quick - np.asarray(resize.resized(picture, (24, 24), area))).max() <= 1


def test_each_thread_keeps_a_resizer_of_its_own() -> None:
    if resize.Resizer is None:
        pytest.skip("for this processor there is no other than Pillow")
    with ThreadPoolExecutor(1) as other:
        first, second = (other.submit(resize._resizer).result() for _ in range(2))
    assert first is second
    assert resize._resizer() is resize._resizer() is not first


def test_a_picture_does_not_depend_on_those_resized_before() -> None:
    pictures = [noise(*size) for size in ((200, 900), (701, 503), (40, 30), (701, 503))]
    alone = []
    for picture in pictures:
        with ThreadPoolExecutor(1) as fresh:
            alone.append(fresh.submit(resize.shrink, picture, (SIZE, SIZE)).result().tobytes())
    assert [resize.shrink(picture, (SIZE, SIZE)).tobytes() for picture in pictures] == alone


def test_what_needs_much_room_to_be_resized_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room, the quick resizer ends the process, and Pillow raises MemoryError."""
    monkeypatch.setattr(resize, "_resizer", lambda: pytest.fail("the quick resizer was asked"))
    assert images.fit(encode(noise(700, 2000), "PNG"), 1600).shape == (1600, 560, 3)


def test_a_large_picture_takes_little_more_memory_than_its_pixels() -> None:
    (end,) = judge([Case("8,000 x 8,000 of one bit", png_bomb(8000, 8000), FINE)])
    assert end.right
    assert end.most_mb < 75 + 64 + 60
