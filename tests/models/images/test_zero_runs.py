"""A run of zeros in compressed data is damage; an area of one colour is not."""

from __future__ import annotations

import pytest
from PIL import Image

from models.images import zero_runs
from models.images.decode import UnreadableImage, decode
from tests.support.pictures import encode, noise, scene


@pytest.mark.fault(42)
@pytest.mark.parametrize(
    ("kind", "options"),
    [("WEBP", {}), ("WEBP", {"lossless": True}), ("AVIF", {}), ("HEIF", {}), ("WEBP", {"save_all": True})],
)
def test_an_image_with_a_run_of_zeros_is_corrupt(kind: str, options: dict[str, bool]) -> None:
    image = noise(300, 200)
    if "save_all" in options:
        options = options | {"append_images": [scene(300, 200)]}  # type: ignore[dict-item]
    data = encode(image, kind, **options)
    marks = {"WEBP": b"VP8", "AVIF": b"mdat", "HEIF": b"mdat"}
    start = data.rindex(marks[kind], 0, data.index(b"ANMF", 60) if "save_all" in options else None)
    decode(data, 32)
    for first, last in ((0.3, 0.4), (0.5, 1.0)):
        begin, end = (start + 200 + int((len(data) - start - 200) * share) for share in (first, last))
        with pytest.raises(UnreadableImage) as refused:
            decode(data[:begin] + bytes(end - begin) + data[end:], 32)
        assert refused.value.reason == "corrupt", (first, last)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("colour", ["white", "black", "grey", "red"])
def test_an_image_of_one_colour_has_no_run_of_zeros(kind: str, colour: str) -> None:
    plain = Image.new("RGB", (2000, 1500), colour)
    half = Image.new("RGB", (1000, 800), colour)
    half.paste(noise(1000, 400), (0, 0))
    for image in (plain, half):
        decode(encode(image, kind, quality=20), 32)


@pytest.mark.timeout(20)
def test_data_that_a_file_names_again_and_again_take_no_long_time() -> None:
    data = bytes(range(1, 256)) * 100_000
    zero_runs.check(data, [(0, len(data))] * 60_000, 1, "HEIF")
