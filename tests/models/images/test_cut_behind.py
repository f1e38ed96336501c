"""A file that ends behind its first picture is accepted: only that one is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.images.decode import UnreadableImage, decode
from tests.support.pictures import chunk, encode, exif, noise

FIRST, LATER = noise(200, 150), noise(200, 150, seed=8)
SEVERAL: dict[str, Any] = {"save_all": True, "append_images": [LATER, LATER]}


def with_text_behind(png: bytes) -> bytes:
    return png[:-12] + chunk(b"tEXt", b"Comment\0" + bytes(range(1, 256)) * 300) + png[-12:]


FILES = {
    "GIF": encode(FIRST.quantize(200), "GIF", save_all=True, append_images=[LATER.quantize(200)]),
    "APNG": encode(FIRST, "PNG", **SEVERAL),
    "PNG with text": with_text_behind(encode(FIRST, "PNG")),
    "WebP": encode(FIRST, "WEBP", lossless=True, **SEVERAL),
    "WebP with XMP": encode(FIRST, "WEBP", lossless=True, xmp=b"<x/>" * 40_000, exif=exif(1).tobytes()),
    "HEIC": encode(FIRST, "HEIF", **SEVERAL),
    "AVIF": encode(FIRST, "AVIF", speed=10, **SEVERAL),
    "MPO": encode(FIRST, "MPO", **SEVERAL),
    "TIFF": encode(noise(200, 150), "TIFF", save_all=True, append_images=[noise(200, 150, seed=8)] * 2),
}


@pytest.mark.fault(42)
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_behind_its_first_picture_is_whole_and_one_cut_within_is_not(name: str) -> None:
    data = FILES[name]
    whole = decode(data, 64)
    for share in (0.7, 0.8, 0.9, 0.95, 0.99):
        assert (decode(data[: round(share * len(data))], 64) == whole).all(), share
    for end in (len(data) - 1, len(data) - 2, len(data) - 7, len(data) - 11):
        assert (decode(data[:end], 64) == whole).all(), end
    for share in (0.05, 0.1, 0.2, 0.25):
        with pytest.raises(UnreadableImage, match="truncated"):
            decode(data[: round(share * len(data))], 64)


def test_a_gif_may_lack_the_end_of_its_last_block_and_nothing_more() -> None:
    data = encode(FIRST.quantize(200), "GIF")
    whole = decode(data, 64)
    for missing in (1, 2):
        assert (decode(data[:-missing], 64) == whole).all()
    for missing in range(3, 600):  # at the end of each block, too
        with pytest.raises(UnreadableImage, match="truncated"):
            decode(data[:-missing], 64)


def test_a_webp_may_lack_the_byte_that_fills_it_up() -> None:
    for size in range(30, 60):
        data = encode(noise(size, 20), "WEBP", lossless=True)
        length = int.from_bytes(data[16:20], "little")
        if length % 2:
            assert (decode(data[:-1], 20) == decode(data, 20)).all()
        else:
            with pytest.raises(UnreadableImage, match="truncated"):
                decode(data[:-1], 20)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_of_several_pictures_the_primary_one_must_be_there(kind: str) -> None:
    if kind == "HEIF":
        data = encode(FIRST, kind, primary_index=1, save_all=True, append_images=[LATER])
    else:
        data = encode(FIRST, kind, speed=10)
    for missing in (1, 100, len(data) // 4):
        with pytest.raises(UnreadableImage, match="truncated"):
            decode(data[:-missing], 64)


def test_a_heic_whose_transparency_is_cut_is_truncated() -> None:
    image = FIRST.copy()
    image.putalpha(Image.fromarray(np.asarray(LATER)[..., 0]))
    data = encode(image, "HEIF", quality=90)
    decode(data, 64)
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(data[:-10], 64)
