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


@pytest.mark.fault(42)
@pytest.mark.parametrize(
    ("kind", "options", "mark"),
    [
        ("WEBP", {"quality": 100}, b"VP8 "),
        ("WEBP", {"lossless": True}, b"VP8L"),
        ("AVIF", {"quality": 100}, b"mdat"),
        ("HEIF", {"quality": 100}, b"mdat"),
    ],
)
def test_a_short_run_of_zeros_is_corrupt_since_all_behind_it_is_spoilt(
    kind: str, options: dict[str, int], mark: bytes
) -> None:
    data = encode(noise(400, 300), kind, **options)
    at = data.index(mark) + (len(data) - data.index(mark)) // 4
    assert len(data) > 50 * 1024  # a fiftieth of the data is longer than the run
    with pytest.raises(UnreadableImage, match="zeros") as refused:
        decode(data[:at] + bytes(512) + data[at + 512 :], 32)
    assert refused.value.reason == "corrupt"


def test_strips_of_a_fiftieth_of_the_picture_may_have_a_run_of_zeros() -> None:
    data, hole = bytes(range(1, 256)) * 400, bytes(300)
    data = data[:1000] + hole + data[1300:]
    tenths = [(at, at + 10_200) for at in range(0, 102_000, 10_200)]
    hundredths = [(at, at + 1020) for at in range(510, 101_490, 1020)]
    zero_runs.check(data, hundredths, 1, "TIFF")
    with pytest.raises(UnreadableImage, match="zeros"):
        zero_runs.check(data, tenths, 1, "TIFF")


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
